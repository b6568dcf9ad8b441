// How generators read the model. Every read is recorded as a dependency of the resource being generated, so a read
// must be as narrow as the answer needs: that is what keeps the cost of a change at the number of its subscribers.
import type { Authorization } from './authorization.js';
import type { MtlsMode } from './peer-policy.js';
import type { RawResource } from './raw-resource.js';
import type { RouteDelegate, RouteRule } from './route-rule.js';
import type { Service, ServicePort } from './service.js';
import type { TrafficPolicyRule } from './traffic-policy.js';
import type { Workload, WorkloadGroup } from './workload.js';

/** One instance behind one port of a service. */
export interface ServiceEndpoint {
  workload: Workload;
  address: string;
  /** The workload's own port. */
  port: number;
}

export interface MeshSettings {
  trustDomain: string;
  clusterDomain: string;
  rootNamespace: string;
}

export interface MeshReader {
  readonly settings: MeshSettings;

  /** The service of exactly this host, visible or not. Depends on that host only. */
  service(host: string): Service | undefined;

  /**
   * What a client in `namespace` means by a dialled name without port: `payments`, `payments.default`, a full name, a
   * virtual address, or a name under a wildcard host. Respects exportTo.
   */
  resolve(name: string, namespace: string): Service | undefined;

  /** All services visible from a namespace, by host. Depends on every service's existence: only for wildcard clients. */
  servicesVisibleFrom(namespace: string): readonly Service[];

  /** The endpoints of one port of a service, in a stable order. Depends on that service's endpoints only. */
  endpoints(service: Service, port: ServicePort): readonly ServiceEndpoint[];

  /** The service accounts (`namespace/account`) of all endpoints of a service. Changes less often than endpoints. */
  serviceAccounts(service: Service): readonly string[];

  /** The route rule that governs a host for clients of a namespace: of those exported to it, the first by age. With its delegates' routes. */
  routeRule(host: string, clientNamespace: string): RouteRule | undefined;

  /** Hosts that rules with HTTP routes have for clients of a namespace. Depends on every rule's: only for wildcard clients. */
  routeHosts(clientNamespace: string): readonly string[];

  /** Routes that rules of `ruleNamespace` may take up. */
  routeDelegate(namespace: string, name: string, ruleNamespace: string): RouteDelegate | undefined;

  /**
   * The traffic policy of a host for a client: client namespace, service namespace, root namespace; the first that has
   * one wins wholly; several in one namespace are merged as contracts.md 5 says. Wildcard hosts: the most specific.
   */
  trafficPolicy(service: Service, clientNamespace: string, clientLabels: Readonly<Record<string, string>>): TrafficPolicyRule | undefined;

  /** The mode of a workload, or of one of its ports (declared target port), after workload, namespace and mesh scope. */
  mtlsMode(workload: Pick<Workload, 'namespace' | 'labels'>, port?: number): MtlsMode;

  /** All policies that apply to a workload: its namespace's and the root namespace's that select it, by age. */
  authorizations(workload: Pick<Workload, 'namespace' | 'labels'>): readonly Authorization[];

  workloadGroup(namespace: string, name: string): WorkloadGroup | undefined;

  /** Workloads of a namespace that have this address (Pods, WorkloadEntries, registrations). */
  workloadsByAddress(namespace: string, address: string): readonly Workload[];

  /** Services whose endpoints include this workload, with the ports that lead to it. */
  servicesOf(workload: Workload): readonly Service[];

  rawResource(typeUrl: string, name: string): RawResource | undefined;
  /** For wildcard clients and `weft generate`. */
  rawResourceNames(typeUrl: string): readonly string[];
}
