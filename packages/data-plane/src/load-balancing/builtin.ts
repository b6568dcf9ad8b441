import type { LoadBalancingConfig } from '../resource/cluster-config.js';
import { messageLookup, type MessageLookup } from '../resource/typed-struct.js';
import type { LoadBalancerFactory } from './load-balancer.js';
import { clientSideWeightedRoundRobin } from './policy/client-side-weighted-round-robin.js';
import { leastRequest } from './policy/least-request.js';
import type { LocalityAwareConfig } from './policy/locality-config.js';
import { maglev, maglevConfig } from './policy/maglev.js';
import { envoyAlphaPeakEwma, envoyPeakEwma, peakEwma } from './policy/peak-ewma.js';
import { pickFirst } from './policy/pick-first.js';
import { random } from './policy/random.js';
import { ringHash, ringHashConfig } from './policy/ring-hash.js';
import { roundRobin } from './policy/round-robin.js';
import type { SlowStartConfig } from './policy/slow-start.js';
import { messagesOf, wrappingMessages, wrappingPolicies, type PolicyMessage, type ResolvedLoadBalancing } from './wrapping-policies.js';

export const builtinLoadBalancers: readonly LoadBalancerFactory[] = [roundRobin, leastRequest, random, ringHash, maglev, pickFirst, clientSideWeightedRoundRobin, peakEwma, envoyPeakEwma, envoyAlphaPeakEwma];

/** The first known policy of `load_balancing_policy.policies`. Throws where none is known or the known one is invalid. */
export function resolveLoadBalancing(policies: readonly PolicyMessage[], factories: readonly LoadBalancerFactory[] = builtinLoadBalancers): ResolvedLoadBalancing {
  for (const { typeUrl, value } of policies) {
    const wrapper = wrappingPolicies[typeUrl];
    if (wrapper) return wrapper(value, (child) => resolveLoadBalancing(messagesOf(child, policyMessages(factories)), factories));
    const factory = factories.find((candidate) => candidate.typeUrl === typeUrl);
    if (!factory) continue;
    const config: unknown = factory.parse(value);
    const { localityWeighted = false, zoneAware } = (config ?? {}) as Partial<LocalityAwareConfig>;
    return { loadBalancing: { policy: factory.name, config }, localityWeighted, ...(zoneAware && { zoneAware }) };
  }
  throw new Error(`no load-balancing policy is known: ${policies.map(({ typeUrl }) => typeUrl.slice(typeUrl.lastIndexOf('/') + 1)).join(', ') || 'the list is empty'}`);
}

/** What a TypedStruct of a policy may stand for. */
export function policyMessages(factories: readonly LoadBalancerFactory[]): MessageLookup {
  return messageLookup([...factories, { messages: wrappingMessages }]);
}

export interface LegacySettings {
  /** round_robin_lb_config and least_request_lb_config. */
  slowStart?: SlowStartConfig;
  /** least_request_lb_config. */
  choiceCount?: number;
  activeRequestBias?: number;
  /** ring_hash_lb_config. */
  minimumRingSize?: number;
  maximumRingSize?: number;
  /** maglev_lb_config. */
  tableSize?: number;
  hashFunction?: 'xx-hash' | 'murmur-hash-2';
  /** common_lb_config.consistent_hashing_lb_config. */
  useHostname?: boolean;
  hashBalanceFactor?: number;
}

/** `Cluster.LbPolicy` by name; settings left out have Envoy's defaults. Throws where one is invalid. */
export function legacyLoadBalancing(lbPolicy: string, settings: LegacySettings = {}): LoadBalancingConfig {
  const slowStart = settings.slowStart && { slowStart: settings.slowStart };
  switch (lbPolicy) {
    case 'RING_HASH': return { policy: ringHash.name, config: ringHashConfig(settings) };
    case 'MAGLEV': return { policy: maglev.name, config: maglevConfig(settings) };
    case 'ROUND_ROBIN': return { policy: roundRobin.name, config: { localityWeighted: false, ...slowStart } };
    case 'RANDOM': return { policy: random.name, config: { localityWeighted: false } };
    case 'LEAST_REQUEST': {
      const choiceCount = settings.choiceCount ?? 2;
      if (choiceCount < 2) throw new Error(`least_request_lb_config.choice_count must be 2 or more, not ${choiceCount}`);
      return { policy: leastRequest.name, config: { localityWeighted: false, choiceCount, activeRequestBias: settings.activeRequestBias ?? 1, fullScan: false, ...slowStart } };
    }
    default: throw new Error(`lb_policy ${lbPolicy} is not supported`);
  }
}
