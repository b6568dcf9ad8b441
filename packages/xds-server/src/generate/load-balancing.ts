// The load-balancing fields of a cluster.
import { Cluster_LbPolicy as LbPolicy, Cluster_RingHashLbConfig_HashFunction as ClusterHash, type ClusterSchema } from '@weft/xds-api/cluster';
import { LeastRequestSchema, MaglevSchema, PeakEwmaSchema, RandomSchema, RingHash_HashFunction as RingHashFunction, RingHashSchema, RoundRobinSchema, WrrLocalitySchema } from '@weft/xds-api/load-balancing';
import type { LoadBalancer } from '../model/traffic-policy.js';
import type { GenerateContext, ProfileName } from './generator.js';
import { duration, extension, type Init } from './message.js';

type LoadBalancingFields = Pick<Init<typeof ClusterSchema>, 'lbPolicy' | 'lbConfig' | 'loadBalancingPolicy'>;

/** Istio's default, Envoy's and gRPC's. */
const minimumRingSize = 1024;

export function loadBalancing(context: GenerateContext, profile: ProfileName, loadBalancer: LoadBalancer | undefined, warn: (reason: string) => void): LoadBalancingFields {
  if (profile === 'grpc') return grpcPolicy(context, loadBalancer, warn);
  if (loadBalancer?.simple === 'peak-ewma' && !loadBalancer.consistentHash) {
    if (loadBalancer.warmup) warn('loadBalancer.warmup: has no effect with PEAK_EWMA, which gives new endpoints little until they have answered');
    if (profile === 'weft') return { lbPolicy: LbPolicy.LEAST_REQUEST, loadBalancingPolicy: { policies: [policy(peakEwma(loadBalancer.peakEwma))] } };
    warn('loadBalancer.simple PEAK_EWMA: only Weft clients have it; others use LEAST_REQUEST');
  }
  return clusterPolicy(loadBalancer);
}

function clusterPolicy(loadBalancer: LoadBalancer | undefined): LoadBalancingFields {
  const hash = loadBalancer?.consistentHash;
  if (hash?.maglev) return { lbPolicy: LbPolicy.MAGLEV, lbConfig: { case: 'maglevLbConfig', value: { tableSize: BigInt(hash.maglev.tableSize) } } };
  if (hash) return { lbPolicy: LbPolicy.RING_HASH, lbConfig: { case: 'ringHashLbConfig', value: { minimumRingSize: BigInt(hash.ring?.minimumSize ?? minimumRingSize), hashFunction: ClusterHash.XX_HASH } } };
  const warmup = slowStart(loadBalancer?.warmup);
  switch (loadBalancer?.simple) {
    case 'random':
      return { lbPolicy: LbPolicy.RANDOM };
    case 'round-robin':
      return { lbPolicy: LbPolicy.ROUND_ROBIN, ...(warmup && { lbConfig: { case: 'roundRobinLbConfig', value: warmup } }) };
    default:
      return { lbPolicy: LbPolicy.LEAST_REQUEST, ...(warmup && { lbConfig: { case: 'leastRequestLbConfig', value: warmup } }) };
  }
}

function peakEwma({ decayMs, defaultRttMs, failurePenaltyMs }: LoadBalancer['peakEwma'] = {}) {
  return extension('weft.load_balancing_policies.peak_ewma', PeakEwmaSchema, {
    ...(decayMs !== undefined && { decayTime: duration(decayMs) }),
    ...(defaultRttMs !== undefined && { defaultRtt: duration(defaultRttMs) }),
    ...(failurePenaltyMs !== undefined && { failurePenalty: duration(failurePenaltyMs) }),
  });
}

function slowStart(warmup: LoadBalancer['warmup']) {
  if (!warmup?.durationMs) return undefined;
  const { durationMs, minimumPercent, aggression } = warmup;
  return {
    slowStartConfig: {
      slowStartWindow: duration(durationMs),
      ...(minimumPercent !== undefined && { minWeightPercent: { value: minimumPercent } }),
      // Envoy demands a key under which its operator could override the number at run time.
      ...(aggression !== undefined && { aggression: { defaultValue: aggression, runtimeKey: 'upstream.slow_start.aggression' } }),
    },
  };
}

/**
 * `lb_policy` stays ROUND_ROBIN: Go, C-core and Node refuse a value they do not know even beside a policy list. Lists are
 * searched for the first known entry, so every list ends with round robin, which all know.
 */
function grpcPolicy({ node }: GenerateContext, loadBalancer: LoadBalancer | undefined, warn: (reason: string) => void): LoadBalancingFields {
  const roundRobin = policy(extension('envoy.load_balancing_policies.round_robin', RoundRobinSchema, {}));
  const byLocality = (...children: ReturnType<typeof policy>[]) =>
    policy(extension('envoy.load_balancing_policies.wrr_locality', WrrLocalitySchema, { endpointPickingPolicy: { policies: children } }));
  const result = (...policies: ReturnType<typeof policy>[]): LoadBalancingFields => ({ lbPolicy: LbPolicy.ROUND_ROBIN, loadBalancingPolicy: { policies } });

  if (loadBalancer?.zoneAware?.enabled) warn('loadBalancer.zoneAwareLbSetting: gRPC clients do not balance by zone');
  if (loadBalancer?.warmup) warn('loadBalancer.warmup: gRPC clients have no slow start');
  if (loadBalancer?.simple === 'peak-ewma') warn('loadBalancer.simple PEAK_EWMA: only Weft clients have it; gRPC clients use LEAST_REQUEST where they have it, else round robin');
  const hash = loadBalancer?.consistentHash;
  if (hash) {
    const size = hash.ring?.minimumSize ?? minimumRingSize;
    // grpc-js-xds 1.14 refuses every cluster that names a ring size, even the default one.
    const sized = size !== minimumRingSize && !node.userAgent.startsWith('gRPC Node');
    if (size !== minimumRingSize && !sized) warn(`consistentHash.ringHash.minimumRingSize: gRPC on Node takes only ${minimumRingSize}`);
    const ring = policy(
      extension('envoy.load_balancing_policies.ring_hash', RingHashSchema, { hashFunction: RingHashFunction.XX_HASH, ...(sized ? { minimumRingSize: BigInt(size) } : {}) }),
    );
    if (!hash.maglev) return result(ring, byLocality(roundRobin));
    const maglev = extension('envoy.load_balancing_policies.maglev', MaglevSchema, { tableSize: BigInt(hash.maglev.tableSize) });
    return result(policy(maglev), ring, byLocality(roundRobin));
  }
  switch (loadBalancer?.simple) {
    case 'peak-ewma':
    case 'least-request':
      return result(byLocality(policy(extension('envoy.load_balancing_policies.least_request', LeastRequestSchema, {})), roundRobin));
    case 'random':
      warn('loadBalancer.simple RANDOM: gRPC clients that do not know it use round robin');
      return result(byLocality(policy(extension('envoy.load_balancing_policies.random', RandomSchema, {})), roundRobin));
    default:
      return result(byLocality(roundRobin));
  }
}

function policy(typedExtensionConfig: ReturnType<typeof extension>) {
  const { name, configType } = typedExtensionConfig;
  return { typedExtensionConfig: { name, typedConfig: configType.value } };
}
