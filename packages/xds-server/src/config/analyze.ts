// What each object alone cannot see: references that lead nowhere and settings that do nothing. Warnings only.
import type { MeshModel } from '../model/mesh-model.js';
import type { MeshReader } from '../model/mesh-reader.js';
import { selects, type ModelObject } from '../model/model-object.js';
import { delegatedRoutes } from '../model/route-delegation.js';
import type { RouteDelegate, RouteRule } from '../model/route-rule.js';
import type { Service } from '../model/service.js';
import type { OutlierDetection, TrafficPolicy, TrafficPolicyRule } from '../model/traffic-policy.js';
import { describeObject, type ConfigObject, type ConfigProblem } from './config-object.js';
import { byAgeAndKey } from '../model/sorted-list.js';
import { destinationsOf } from './destinations.js';

type Report = (origin: string, field: string, reason: string) => void;

/** `objects`: the configuration objects in force, for positions and for fields as they were written. */
export function analyze(model: MeshModel, objects: readonly ConfigObject[]): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const sources = new Map(objects.map((object) => [describeObject(object), object]));
  const report: Report = (origin, field, reason) => {
    const position = sources.get(origin)?.position(field);
    problems.push({ severity: 'warning', object: origin, field, reason, ...(position && { position }) });
  };
  const reader = model.reader(() => {});
  const all = [...model.objects()];
  for (const object of all) {
    if (object.type === 'route-rule' || object.type === 'route-delegate') checkDestinations(object, sources.get(object.origin), reader, report);
    if (object.type === 'route-rule') {
      checkDelegates(object, reader, report);
      checkWildcardsAbove(object, reader, report);
    }
    if (object.type === 'traffic-policy') checkTrafficPolicy(object, reader, all, report);
  }
  checkUseOfDelegates(all, report);
  checkHosts(all, report);
  checkSelectors(all, reader, report);
  return problems;
}

/** As istiod: what does not fit is left out, and the rest of the rule holds. */
function checkDelegates(rule: RouteRule, reader: MeshReader, report: Report): void {
  for (const delegation of rule.delegations ?? []) {
    const { namespace, delegate: name, index } = delegation;
    const path = `spec.http[${index}].delegate`;
    const delegate = reader.routeDelegate(namespace, name, rule.namespace);
    if (!delegate) report(rule.origin, path, `${namespace}/${name} is no VirtualService without hosts that ${rule.namespace} can see: the route is left out`);
    else for (const at of delegatedRoutes(delegation, delegate).conflicts) report(rule.origin, path, `http[${at}] of ${namespace}/${name} is left out: it matches requests that this match does not hand over`);
  }
}

/** A host under a wildcard of a service is that service's, so the rules of the wildcard count. */
function checkWildcardsAbove(rule: RouteRule, reader: MeshReader, report: Report): void {
  rule.hosts.forEach((host) => {
    const service = reader.resolve(host, rule.namespace);
    if (service?.host.startsWith('*') && service.host !== host && !host.startsWith('*')) report(rule.origin, 'spec.hosts', `${host} belongs to ${service.host} of ${service.origin}: only rules for that host, or a wildcard above it, are used`);
  });
}

function checkUseOfDelegates(all: readonly ModelObject[], report: Report): void {
  const used = new Set(all.flatMap((object) => (object.type === 'route-rule' ? (object.delegations ?? []) : [])).map(({ namespace, delegate }) => `${namespace}/${delegate}`));
  for (const object of all) {
    if (object.type === 'route-delegate' && !used.has(`${object.namespace}/${object.name}`)) report(object.origin, 'spec', 'has no hosts, and no VirtualService delegates to it: it has no effect');
  }
}

function checkDestinations(rule: RouteRule | RouteDelegate, source: ConfigObject | undefined, reader: MeshReader, report: Report): void {
  for (const { host, subset, port, path } of source ? destinationsOf(source, reader.settings.clusterDomain) : []) {
    const service = reader.resolve(host, rule.namespace);
    if (!service) {
      report(rule.origin, `${path}.host`, `${host} is no service that ${rule.namespace} can see: requests to it fail with 503`);
      continue;
    }
    if (port !== undefined && !service.ports.some(({ number }) => number === port)) {
      report(rule.origin, `${path}.port.number`, `${host} has no port ${port} (it has ${service.ports.map(({ number }) => number).join(', ')}): requests to it fail with 503`);
    }
    if (subset === '') continue;
    const policy = reader.trafficPolicy(service, rule.namespace, {});
    const known = policy?.subsets.map(({ name }) => name) ?? [];
    if (!known.includes(subset)) {
      report(rule.origin, `${path}.subset`, `${host} has no subset ${subset}${known.length > 0 ? ` (it has ${known.join(', ')})` : ''}: requests to it fail with 503`);
    }
  }
}

function checkTrafficPolicy(rule: TrafficPolicyRule, reader: MeshReader, all: readonly ModelObject[], report: Report): void {
  const services = rule.host.startsWith('*') ? all.filter((object) => object.type === 'service') : [reader.resolve(rule.host, rule.namespace)];
  const covered = services.filter((service): service is Service => service !== undefined && covers(rule.host, service.host));
  if (covered.length === 0) report(rule.origin, 'spec.host', `${rule.host} is no service that ${rule.namespace} can see: the rule has no effect`);
  for (const subset of rule.subsets) {
    const members = covered.flatMap((service) => endpointLabels(service, reader));
    if (members.length > 0 && !members.some((labels) => selects(subset.labels, labels))) {
      report(rule.origin, 'spec.subsets', `no endpoint of ${rule.host} has the labels of the subset ${subset.name}: requests to it fail with 503`);
    }
  }
  const size = (labels: Readonly<Record<string, string>>) => Math.max(0, ...covered.map((service) => endpointLabels(service, reader).filter((own) => selects(labels, own)).length));
  const places = [{ policy: rule.policy, path: 'spec.trafficPolicy', labels: {} }, ...rule.subsets.map(({ policy, labels }, at) => ({ policy, path: `spec.subsets[${at}].trafficPolicy`, labels }))];
  const above = rule.policy.outlierDetection;
  for (const { policy, path, labels } of places) {
    checkFailover(rule, { ...(above && { outlierDetection: above }), ...policy }, path, report);
    checkOutlierDetection(rule, policy.outlierDetection, `${path}.outlierDetection`, size(labels), report);
    policy.ports.forEach((port, at) => {
      const place = `${path}.portLevelSettings[${at}]`;
      checkFailover(rule, port.policy, place, report);
      checkOutlierDetection(rule, port.policy.outlierDetection, `${place}.outlierDetection`, size(labels), report);
    });
  }
}

/** Priorities that no client ever leaves: Istio gives none without outlier detection. */
function checkFailover(rule: TrafficPolicyRule, { loadBalancer, outlierDetection }: Omit<TrafficPolicy, 'ports'>, path: string, report: Report): void {
  if (outlierDetection) return;
  for (const name of ['localityLbSetting', 'zoneAwareLbSetting'] as const) {
    const setting = name === 'localityLbSetting' ? loadBalancer?.locality : loadBalancer?.zoneAware;
    for (const field of ['failover', 'failoverPriority'] as const) {
      if (setting?.enabled && setting[field].length > 0) report(rule.origin, `${path}.loadBalancer.${name}.${field}`, 'has no effect without outlierDetection');
    }
  }
}

function checkOutlierDetection(rule: TrafficPolicyRule, detection: OutlierDetection | undefined, path: string, size: number, report: Report): void {
  if (!detection) return;
  const { consecutive5xx = 5, consecutiveGatewayErrors = 0, splitExternalLocalOriginErrors: split = false, consecutiveLocalOriginFailures = 5, maxEjectionPercent = 10 } = detection;
  if (maxEjectionPercent === 0) report(rule.origin, `${path}.maxEjectionPercent`, 'is 0: no endpoint is ever ejected');
  if (consecutive5xx === 0 && consecutiveGatewayErrors === 0 && !(split && consecutiveLocalOriginFailures > 0)) {
    report(rule.origin, path, 'has every error count off: no endpoint is ever ejected');
  }
  if (maxEjectionPercent > 0 && size > 0 && maxEjectionPercent * size < 100) {
    // Envoy ejects only if 100·(ejected+1)/hosts ≤ max_ejection_percent.
    report(rule.origin, path, `lets Envoy eject none of ${size} endpoints: maxEjectionPercent ${maxEjectionPercent} is less than one of them (Weft's own clients eject one)`);
  }
}

function endpointLabels(service: Service, reader: MeshReader): Readonly<Record<string, string>>[] {
  const port = service.ports[0];
  return port ? reader.endpoints(service, port).map(({ workload }) => workload.labels) : [];
}

function covers(pattern: string, host: string): boolean {
  return pattern === '*' || pattern === host || (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)));
}

/** Hosts that several objects claim for the same clients: only the first by age counts. */
function checkHosts(all: readonly ModelObject[], report: Report): void {
  const claims = new Map<string, { rule: ModelObject; exportTo: readonly string[] }[]>();
  for (const object of all) {
    if (object.type !== 'service' && object.type !== 'route-rule') continue;
    for (const host of object.type === 'service' ? [object.host] : object.hosts) {
      const place = `${object.type} ${host}`;
      claims.set(place, [...(claims.get(place) ?? []), { rule: object, exportTo: object.exportTo }]);
    }
  }
  for (const [place, list] of claims) {
    const host = place.slice(place.indexOf(' ') + 1);
    list.sort((a, b) => byClaim(a.rule, b.rule));
    list.forEach(({ rule, exportTo }, at) => {
      const first = list.slice(0, at).find((other) => overlaps(other.exportTo, exportTo));
      const field = rule.origin.startsWith('Service ') ? '' : 'spec.hosts';
      if (first) report(rule.origin, field, `${host} is taken by ${first.rule.origin}, which comes first: this one is not used where both can be seen`);
    });
  }
}

function byClaim(a: ModelObject, b: ModelObject): number {
  const cluster = (object: ModelObject) => Number(object.type === 'service' && object.cluster);
  return cluster(b) - cluster(a) || byAgeAndKey(a, b);
}

function overlaps(a: readonly string[], b: readonly string[]): boolean {
  return a.includes('*') || b.includes('*') ? a.length > 0 && b.length > 0 : a.some((namespace) => b.includes(namespace));
}

function checkSelectors(all: readonly ModelObject[], reader: MeshReader, report: Report): void {
  const workloads = all.filter((object) => object.type === 'workload' || object.type === 'workload-group');
  for (const policy of all) {
    if (policy.type !== 'peer-policy' && policy.type !== 'authorization') continue;
    const { selector, namespace } = policy;
    if (!selector) continue;
    const meshWide = policy.type === 'authorization' && namespace === reader.settings.rootNamespace;
    if (!workloads.some((workload) => (meshWide || workload.namespace === namespace) && selects(selector, workload.labels))) {
      report(policy.origin, 'spec.selector', `selects no workload of ${meshWide ? 'the mesh' : namespace}`);
    }
  }
}
