// Which traffic policy a client uses for a host (contracts.md 5; Istio's pilot/pkg/model/destination_rule.go).
import { isDeepStrictEqual } from 'node:util';
import { dependency, type Touch } from './dependency.js';
import { exportedTo, hostPatterns } from './host-pattern.js';
import { selects } from './model-base.js';
import type { Service } from './service.js';
import { AgeOrderedGroups } from './sorted-list.js';
import type { TrafficPolicyRule } from './traffic-policy.js';

export interface PolicyClient {
  namespace: string;
  labels: Readonly<Record<string, string>>;
}

export class TrafficPolicyIndex {
  readonly #rules = new AgeOrderedGroups<TrafficPolicyRule>();
  readonly #rootNamespace: string;

  constructor(rootNamespace: string) {
    this.#rootNamespace = rootNamespace;
  }

  add(rule: TrafficPolicyRule, touch: Touch): void {
    const place = dependency.trafficPolicy(rule.namespace, rule.host);
    this.#rules.add(place, rule);
    touch(place);
  }

  delete(rule: TrafficPolicyRule, touch: Touch): void {
    const place = dependency.trafficPolicy(rule.namespace, rule.host);
    this.#rules.delete(place, rule);
    touch(place);
  }

  /** The first namespace that has a rule for the client wins wholly; inside it the most specific host does. */
  policy(service: Service, client: PolicyClient, record: Touch): TrafficPolicyRule | undefined {
    for (const namespace of new Set([client.namespace, service.namespace, this.#rootNamespace])) {
      for (const pattern of hostPatterns(service.host)) {
        const place = dependency.trafficPolicy(namespace, pattern);
        record(place);
        const merged = mergeRules(applicable(this.#rules.get(place), client));
        if (merged) return merged;
      }
    }
    return undefined;
  }
}

/** Rules with a workloadSelector count only for clients of their own namespace, and then instead of those without one. */
function applicable(rules: readonly TrafficPolicyRule[], client: PolicyClient): readonly TrafficPolicyRule[] {
  const exported = rules.filter((rule) => exportedTo(rule.exportTo, client.namespace));
  const own = exported.find(
    (rule) => isSelective(rule) && rule.namespace === client.namespace && selects(rule.workloadSelector, client.labels),
  );
  return own
    ? exported.filter((rule) => isDeepStrictEqual(rule.workloadSelector, own.workloadSelector))
    : exported.filter((rule) => !isSelective(rule));
}

function isSelective(rule: TrafficPolicyRule): boolean {
  return Object.keys(rule.workloadSelector).length > 0;
}

/** The first gives the policy and wins duplicate subsets; further subsets are added. */
function mergeRules(rules: readonly TrafficPolicyRule[]): TrafficPolicyRule | undefined {
  const [first, ...others] = rules;
  if (!first || others.length === 0) return first;
  const subsets = new Map(first.subsets.map((subset) => [subset.name, subset]));
  for (const other of others) for (const subset of other.subsets) if (!subsets.has(subset.name)) subsets.set(subset.name, subset);
  const policy = rules.find((rule) => !isEmpty(rule))?.policy ?? first.policy;
  return { ...first, policy, subsets: [...subsets.values()] };
}

function isEmpty({ policy }: TrafficPolicyRule): boolean {
  return policy.ports.length === 0 && Object.keys(policy).every((block) => block === 'ports');
}
