import { fromBinary } from '@weft/xds-api/protobuf';
import { WrrLocalitySchema } from '@weft/xds-api/load-balancing';
import type { LoadBalancingConfig } from '../resource/cluster-config.js';
import type { LoadBalancerFactory } from './load-balancer.js';
import { leastRequest } from './policy/least-request.js';
import { maglev, maglevConfig } from './policy/maglev.js';
import { random } from './policy/random.js';
import { ringHash, ringHashConfig } from './policy/ring-hash.js';
import { roundRobin } from './policy/round-robin.js';
import type { SlowStartConfig } from './policy/slow-start.js';

export const builtinLoadBalancers: readonly LoadBalancerFactory[] = [roundRobin, leastRequest, random, ringHash, maglev];

const wrrLocality = 'type.googleapis.com/envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality';

export interface ResolvedLoadBalancing {
  loadBalancing: LoadBalancingConfig;
  /** The policy asks for locality weights (wrr_locality, or its locality_lb_config). */
  localityWeighted: boolean;
}

/** The first known policy of `load_balancing_policy.policies`. Throws where none is known or the known one is invalid. */
export function resolveLoadBalancing(policies: readonly { typeUrl: string; value: Uint8Array }[], factories: readonly LoadBalancerFactory[] = builtinLoadBalancers): ResolvedLoadBalancing {
  for (const { typeUrl, value } of policies) {
    if (typeUrl === wrrLocality) {
      const child = fromBinary(WrrLocalitySchema, value).endpointPickingPolicy?.policies ?? [];
      const configs = child.map(({ typedExtensionConfig }) => typedExtensionConfig?.typedConfig).filter((config) => config !== undefined);
      return { ...resolveLoadBalancing(configs, factories), localityWeighted: true };
    }
    const factory = factories.find((candidate) => candidate.typeUrl === typeUrl);
    if (!factory) continue;
    const config: unknown = factory.parse(value);
    return { loadBalancing: { policy: factory.name, config }, localityWeighted: (config as { localityWeighted?: boolean } | undefined)?.localityWeighted === true };
  }
  throw new Error(`no load-balancing policy is known: ${policies.map(({ typeUrl }) => typeUrl.slice(typeUrl.lastIndexOf('/') + 1)).join(', ') || 'the list is empty'}`);
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
  /** common_lb_config.consistent_hashing_lb_config. */
  useHostname?: boolean;
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
