// Locality: which endpoints come first, and how much each place gets. Istio's rules (istio-envoy.md 2.5).
import type { LoadBalancer } from '../model/traffic-policy.js';
import type { Locality, Workload } from '../model/workload.js';
import type { GenerateContext } from './generator.js';
import type { EffectivePolicy } from './traffic-policy.js';

type LocalitySetting = NonNullable<LoadBalancer['locality']>;
type Failover = LocalitySetting['failover'];

/** Endpoints of one place and priority. */
export interface LocalityGroup<E> {
  locality: Locality;
  /** Contiguous from 0. */
  priority: number;
  /** Above 0. */
  weight: number;
  endpoints: readonly E[];
}

interface Weighted {
  workload: Workload;
}

export function localityGroups<E extends Weighted>(context: GenerateContext, policy: EffectivePolicy, endpoints: readonly E[]): LocalityGroup<E>[] {
  const { zoneAware } = policy.loadBalancer ?? {};
  if (zoneAware?.enabled) return zoneAwareGroups(context, policy, zoneAware, endpoints);
  const setting = policy.loadBalancer?.locality;
  if (setting?.enabled === false) return group(endpoints, () => 0);
  if (setting && setting.distribute.length > 0) return distribute(context, setting.distribute, group(endpoints, () => 0));
  const forced = setting === undefined ? policy.nearFirst : undefined;
  if (forced) return group(endpoints, ({ workload }) => labelPriority(context, forced, workload));
  // Without outlier detection nothing would ever fail over to a lower priority.
  if (policy.outlierDetection === undefined) return group(endpoints, () => 0);
  const failover = setting?.failover ?? [];
  const labels = setting?.failoverPriority ?? [];
  // Labels alone decide where they are given; places count beside them only where `failover` asks for it.
  const byPlace = labels.length === 0 || failover.length > 0;
  return group(endpoints, ({ workload }) => labelPriority(context, labels, workload) * 5 + (byPlace ? localityPriority(context.node.locality, failover, workload.locality) : 0));
}

/** Zones are the client's own business; only regions fail over, and labels where they are given. */
function zoneAwareGroups<E extends Weighted>(context: GenerateContext, policy: EffectivePolicy, { failover, failoverPriority }: NonNullable<LoadBalancer['zoneAware']>, endpoints: readonly E[]): LocalityGroup<E>[] {
  if (policy.outlierDetection === undefined) return group(endpoints, () => 0);
  const regionPriority = (other: Locality) => {
    const priority = localityPriority(context.node.locality, failover, other);
    return priority < 3 ? 0 : priority;
  };
  return group(endpoints, ({ workload }) => labelPriority(context, failoverPriority, workload) * 5 + regionPriority(workload.locality));
}

/** 0 same sub-zone, 1 zone, 2 region, 3 another region, 4 another region than the one `failover` names for ours. */
function localityPriority(own: Locality, failover: Failover, other: Locality): number {
  if (own.region === '') return 0;
  if (own.region !== other.region) {
    const rule = failover.find(({ from }) => from === own.region);
    return rule && rule.to !== other.region ? 4 : 3;
  }
  if (own.zone !== other.zone) return 2;
  return own.subZone === other.subZone ? 0 : 1;
}

/** The earlier the first label that differs, the lower the priority. `key=value` stands for the client's own value. */
function labelPriority({ node }: GenerateContext, labels: readonly string[], workload: Workload): number {
  const mismatch = labels.findIndex((label) => {
    const [key = '', fixed] = label.split('=');
    return (fixed ?? topologyLabel(key, node.locality) ?? node.labels[key]) !== (topologyLabel(key, workload.locality) ?? workload.labels[key]);
  });
  return mismatch === -1 ? 0 : labels.length - mismatch;
}

function topologyLabel(key: string, { region, zone, subZone }: Locality): string | undefined {
  if (key === 'topology.kubernetes.io/region') return region || undefined;
  if (key === 'topology.kubernetes.io/zone') return zone || undefined;
  return key === 'topology.istio.io/subzone' ? subZone || undefined : undefined;
}

/** The first rule for the client's place shares traffic out; places it does not name get none. */
function distribute<E extends Weighted>({ node }: GenerateContext, rules: LocalitySetting['distribute'], groups: LocalityGroup<E>[]): LocalityGroup<E>[] {
  const rule = rules.find(({ from }) => localityMatches(from, node.locality));
  if (rule === undefined) return groups;
  const rest = new Set(groups);
  const shared: LocalityGroup<E>[] = [];
  // Narrow places first, so that `region/*` takes only what is left.
  const targets = Object.entries(rule.to).sort(([a], [b]) => named(b) - named(a) || (a < b ? -1 : 1));
  for (const [place, share] of targets) {
    const matching = [...rest].filter(({ locality }) => localityMatches(place, locality));
    const total = matching.reduce((sum, { weight }) => sum + weight, 0);
    for (const entry of matching) {
      rest.delete(entry);
      if (share > 0) shared.push({ ...entry, weight: Math.ceil((entry.weight * share) / total) });
    }
  }
  return shared.sort(placeOrder);
}

/** How many parts of a place a pattern names. */
function named(pattern: string): number {
  return pattern.split('/').filter((part) => part !== '*' && part !== '').length;
}

/** `region/zone/subZone`, where `*` ends the pattern, and what is left out matches everything. */
function localityMatches(pattern: string, { region, zone, subZone }: Locality): boolean {
  const actual = [region, zone, subZone];
  return pattern.split('/').every((part, index) => part === '*' || part === '' || part === actual[index]);
}

function group<E extends Weighted>(endpoints: readonly E[], priorityOf: (endpoint: E) => number): LocalityGroup<E>[] {
  const groups = new Map<string, { locality: Locality; priority: number; weight: number; endpoints: E[] }>();
  for (const endpoint of endpoints) {
    const { locality, weight = 1 } = endpoint.workload;
    const priority = priorityOf(endpoint);
    const key = JSON.stringify([priority, locality.region, locality.zone, locality.subZone]);
    const entry = groups.get(key) ?? { locality, priority, weight: 0, endpoints: [] };
    entry.weight += weight;
    entry.endpoints.push(endpoint);
    groups.set(key, entry);
  }
  // Clients refuse a gap between priorities.
  const priorities = [...new Set([...groups.values()].map(({ priority }) => priority))].sort((a, b) => a - b);
  return [...groups.values()].map((entry) => ({ ...entry, priority: priorities.indexOf(entry.priority) })).sort(placeOrder);
}

function placeOrder(a: LocalityGroup<unknown>, b: LocalityGroup<unknown>): number {
  const key = ({ locality: { region, zone, subZone } }: LocalityGroup<unknown>) => `${region}/${zone}/${subZone}`;
  return a.priority - b.priority || (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}
