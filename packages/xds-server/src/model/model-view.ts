// The model as generators see it: every answer records what it depends on.
import type { Authorization } from './authorization.js';
import { dependency, type Touch } from './dependency.js';
import type { ModelIndexes } from './model-indexes.js';
import type { MeshReader, MeshSettings, ServiceEndpoint } from './mesh-reader.js';
import type { MtlsMode } from './peer-policy.js';
import type { RawResource } from './raw-resource.js';
import type { RouteDelegate, RouteRule } from './route-rule.js';
import type { Service, ServicePort } from './service.js';
import { byAgeAndKey } from './sorted-list.js';
import type { TrafficPolicyRule } from './traffic-policy.js';
import type { Workload, WorkloadGroup } from './workload.js';

export class ModelView implements MeshReader {
  readonly settings: MeshSettings;
  readonly #indexes: ModelIndexes;
  readonly #record: Touch;

  constructor(settings: MeshSettings, indexes: ModelIndexes, record: Touch) {
    this.settings = settings;
    this.#indexes = indexes;
    this.#record = record;
  }

  service(host: string): Service | undefined {
    return this.#indexes.services.service(host, this.#record);
  }

  resolve(name: string, namespace: string): Service | undefined {
    return this.#indexes.services.resolve(name, namespace, this.#record);
  }

  servicesVisibleFrom(namespace: string): readonly Service[] {
    return this.#indexes.services.visibleFrom(namespace, this.#record);
  }

  endpoints(service: Service, port: ServicePort): readonly ServiceEndpoint[] {
    return this.#indexes.endpoints.endpoints(service, port, this.#record);
  }

  serviceAccounts(service: Service): readonly string[] {
    return this.#indexes.endpoints.serviceAccounts(service, this.#record);
  }

  routeRule(host: string, clientNamespace: string): RouteRule | undefined {
    return this.#indexes.routes.rule(host, clientNamespace, this.#record);
  }

  routeHosts(clientNamespace: string): readonly string[] {
    return this.#indexes.routes.hosts(clientNamespace, this.#record);
  }

  routeDelegate(namespace: string, name: string, ruleNamespace: string): RouteDelegate | undefined {
    return this.#indexes.routes.delegate(namespace, name, ruleNamespace, this.#record);
  }

  trafficPolicy(service: Service, clientNamespace: string, clientLabels: Readonly<Record<string, string>>): TrafficPolicyRule | undefined {
    return this.#indexes.traffic.policy(service, { namespace: clientNamespace, labels: clientLabels }, this.#record);
  }

  mtlsMode(workload: Pick<Workload, 'namespace' | 'labels'>, port?: number): MtlsMode {
    const { peers } = this.#indexes;
    const { namespace, labels } = workload;
    const { rootNamespace } = this.settings;
    // At each level only the oldest counts, even where it leaves the mode unset. Istio ignores selectors in the root namespace.
    if (namespace !== rootNamespace) {
      const own = peers.forLabels(namespace, labels, this.#record)[0];
      const mode = (port !== undefined ? own?.ports[port] : undefined) ?? own?.mode;
      if (mode) return mode;
      const all = peers.forNamespace(namespace, this.#record)[0]?.mode;
      if (all) return all;
    }
    return peers.forNamespace(rootNamespace, this.#record)[0]?.mode ?? 'permissive';
  }

  authorizations(workload: Pick<Workload, 'namespace' | 'labels'>): readonly Authorization[] {
    const { authorizations } = this.#indexes;
    const found: Authorization[] = [];
    for (const namespace of new Set([workload.namespace, this.settings.rootNamespace])) {
      found.push(...authorizations.forNamespace(namespace, this.#record), ...authorizations.forLabels(namespace, workload.labels, this.#record));
    }
    return found.sort(byAgeAndKey);
  }

  workloadGroup(namespace: string, name: string): WorkloadGroup | undefined {
    const place = dependency.group(namespace, name);
    this.#record(place);
    return this.#indexes.groups.get(place);
  }

  workloadsByAddress(namespace: string, address: string): readonly Workload[] {
    return this.#indexes.endpoints.workloadsByAddress(namespace, address, this.#record);
  }

  servicesOf(workload: Workload): readonly Service[] {
    return this.#indexes.endpoints.servicesOf(workload, this.#record);
  }

  rawResource(typeUrl: string, name: string): RawResource | undefined {
    return this.#indexes.rawResources.resource(typeUrl, name, this.#record);
  }

  rawResourceNames(typeUrl: string): readonly string[] {
    return this.#indexes.rawResources.names(typeUrl, this.#record);
  }
}
