// Which blocks of a DestinationRule hold for one port and subset (contracts.md 5).
import type { Service } from '../model/service.js';
import type { Subset, TrafficPolicy, TrafficPolicyRule } from '../model/traffic-policy.js';
import type { GenerateContext, NodeFacets } from './generator.js';

export type PolicyBlocks = Omit<TrafficPolicy, 'ports'>;

export interface EffectivePolicy extends PolicyBlocks {
  rule: TrafficPolicyRule | undefined;
  /** The subset asked for; undefined where none was, or where the rule has none of that name. */
  subset: Subset | undefined;
  /** What the service itself asks for: labels by which near endpoints come first, with or without outlier detection. */
  nearFirst?: readonly string[];
}

/** Istio's order for PreferClose; Kubernetes' own words for the other. */
const near = {
  close: ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'topology.istio.io/subzone'],
  'same-zone': ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone'],
} as const;

/** Istio's default size of a ring. */
const bySourceIp = { simple: 'default', consistentHash: { sourceIp: true, ring: { minimumSize: 1024 } } } as const;

export function trafficPolicyRule({ model, node }: GenerateContext, service: Service): TrafficPolicyRule | undefined {
  return model.trafficPolicy(service, node.namespace, lazyLabels(node));
}

/** The rule's blocks; where it has none, what the Kubernetes Service says of itself. */
export function effectivePolicy(context: GenerateContext, service: Service, subsetName: string, port: number): EffectivePolicy {
  const rule = trafficPolicyRule(context, service);
  const subset = subsetName === '' ? undefined : rule?.subsets.find((candidate) => candidate.name === subsetName);
  const blocks = overlay(overlay({}, rule?.policy, port), subset?.policy, port);
  const { sessionAffinity, trafficDistribution } = service;
  return {
    ...(sessionAffinity === 'client-ip' && { loadBalancer: bySourceIp }),
    ...blocks,
    ...(trafficDistribution && { nearFirst: near[trafficDistribution] }),
    rule,
    subset,
  };
}

/**
 * A port's own blocks replace everything, absent ones too, but those that a port cannot have of its own; otherwise each block that is
 * set replaces the one below.
 */
function overlay(below: PolicyBlocks, policy: TrafficPolicy | undefined, port: number): PolicyBlocks {
  if (policy === undefined) return below;
  const { ports, ...blocks } = policy;
  const merged = { ...below, ...blocks };
  const own = ports.find((candidate) => candidate.port === port)?.policy;
  if (!own) return merged;
  const { retryBudget, proxyProtocol } = merged;
  return { ...own, ...(retryBudget && { retryBudget }), ...(proxyProtocol && { proxyProtocol }) };
}

/**
 * The client's labels, read only where a selector asks for one. Handing them over at once would count as having read
 * them, and every resource would be made anew for every set of labels.
 */
function lazyLabels(node: NodeFacets): Readonly<Record<string, string>> {
  return new Proxy<Record<string, string>>({}, {
    get: (_, name) => (typeof name === 'string' ? node.labels[name] : undefined),
    has: (_, name) => typeof name === 'string' && name in node.labels,
    ownKeys: () => Object.keys(node.labels),
    getOwnPropertyDescriptor: (_, name) =>
      typeof name === 'string' && name in node.labels ? { value: node.labels[name], enumerable: true, configurable: true } : undefined,
  });
}
