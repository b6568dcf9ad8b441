import {
  Cluster_CommonLbConfig_ConsistentHashingLbConfigSchema, Cluster_CommonLbConfig_ZoneAwareLbConfigSchema, Cluster_CommonLbConfigSchema, Cluster_LbSubsetConfig_LbSubsetSelectorSchema, Cluster_LbSubsetConfigSchema, Cluster_LbPolicy as LbPolicy, Cluster_LeastRequestLbConfigSchema, Cluster_MaglevLbConfigSchema,
  Cluster_RingHashLbConfig_HashFunction as HashFunction, Cluster_RingHashLbConfigSchema, Cluster_RoundRobinLbConfigSchema, LoadBalancingPolicy_PolicySchema, type Cluster,
} from '@weft/xds-api/cluster';
import { legacyLoadBalancing, policyMessages, resolveLoadBalancing, type LegacySettings } from '../load-balancing/builtin.js';
import type { LoadBalancerFactory } from '../load-balancing/load-balancer.js';
import { subsetConfig } from '../load-balancing/subset-config.js';
import { zoneAwareConfig } from '../load-balancing/zone-aware-picker.js';
import { parseSlowStart } from '../load-balancing/policy/slow-start.js';
import type { ResolvedLoadBalancing } from '../load-balancing/wrapping-policies.js';
import type { ClusterConfig } from './cluster-config.js';
import { healthOf } from './endpoint.js';
import { join, knownFields, type Report } from './report.js';
import { unwrapTypedStruct } from './typed-struct.js';

const commonFields = knownFields(Cluster_CommonLbConfigSchema, ['healthy_panic_threshold', 'locality_weighted_lb_config', 'zone_aware_lb_config', 'consistent_hashing_lb_config', 'override_host_status', 'ignore_new_hosts_until_first_hc'], ['update_merge_window']);
const policyFields = knownFields(LoadBalancingPolicy_PolicySchema, ['typed_extension_config']);
const leastRequestFields = knownFields(Cluster_LeastRequestLbConfigSchema, ['choice_count', 'active_request_bias', 'slow_start_config']);
const ringHashFields = knownFields(Cluster_RingHashLbConfigSchema, ['minimum_ring_size', 'maximum_ring_size', 'hash_function']);
const maglevFields = knownFields(Cluster_MaglevLbConfigSchema, ['table_size']);
const consistentFields = knownFields(Cluster_CommonLbConfig_ConsistentHashingLbConfigSchema, ['use_hostname_for_hashing', 'hash_balance_factor']);
const roundRobinFields = knownFields(Cluster_RoundRobinLbConfigSchema, ['slow_start_config']);

const zoneAwareFields = knownFields(Cluster_CommonLbConfig_ZoneAwareLbConfigSchema, ['routing_enabled', 'min_cluster_size', 'fail_traffic_on_panic']);
const subsetFields = knownFields(Cluster_LbSubsetConfigSchema, ['fallback_policy', 'default_subset', 'subset_selectors', 'locality_weight_aware', 'scale_locality_weight', 'panic_mode_any', 'list_as_any', 'metadata_fallback_policy']);
const selectorFields = knownFields(Cluster_LbSubsetConfig_LbSubsetSelectorSchema, ['keys', 'single_host_per_subset', 'fallback_policy', 'fallback_keys_subset']);

type Balancing = Pick<ClusterConfig, 'loadBalancing' | 'localityWeighted' | 'healthyPanicThreshold' | 'zoneAware' | 'subsets' | 'overrideHosts' | 'overrideHostStatus'>;

/** The first known policy of load_balancing_policy, which outweighs lb_policy where it is set (gRFC A52). */
export function decodeLoadBalancing(cluster: Cluster, factories: readonly LoadBalancerFactory[], report: Report): Balancing | undefined {
  const common = cluster.commonLbConfig;
  if (common) report.check(commonFields, common, 'common_lb_config');
  const healthyPanicThreshold = common?.healthyPanicThreshold?.value ?? 50;
  if (!(healthyPanicThreshold >= 0 && healthyPanicThreshold <= 100)) report.add('common_lb_config.healthy_panic_threshold', 'must be 0 to 100');
  const chosen = cluster.loadBalancingPolicy ? fromPolicies(cluster.loadBalancingPolicy, factories, report) : fromEnum(cluster, report);
  const zoneAware = chosen?.zoneAware ?? decodeZoneAware(cluster, report);
  // With load_balancing_policy subsets are a policy of their own, as in Envoy.
  const subsets = chosen?.subsets ?? (cluster.loadBalancingPolicy ? undefined : decodeSubsets(cluster, report));
  const overrideHostStatus = common?.overrideHostStatus?.statuses.map(healthOf);
  return chosen && {
    // Frozen here, so that freezing the cluster stops at objects which are the policy's own.
    loadBalancing: Object.freeze(chosen.loadBalancing),
    localityWeighted: chosen.localityWeighted || common?.localityConfigSpecifier.case === 'localityWeightedLbConfig',
    healthyPanicThreshold,
    ...(zoneAware && { zoneAware }),
    ...(subsets && { subsets }),
    ...(chosen.overrideHosts && { overrideHosts: chosen.overrideHosts }),
    ...(overrideHostStatus && { overrideHostStatus }),
  };
}

function decodeZoneAware({ commonLbConfig, loadBalancingPolicy }: Cluster, report: Report) {
  const specifier = commonLbConfig?.localityConfigSpecifier;
  if (specifier?.case !== 'zoneAwareLbConfig') return undefined;
  const path = 'common_lb_config.zone_aware_lb_config';
  report.check(zoneAwareFields, specifier.value, path);
  return loadBalancingPolicy ? undefined : report.attempt(path, () => zoneAwareConfig(specifier.value));
}

function decodeSubsets({ lbSubsetConfig: config }: Cluster, report: Report) {
  if (!config) return undefined;
  report.check(subsetFields, config, 'lb_subset_config');
  config.subsetSelectors.forEach((selector, i) => report.check(selectorFields, selector, `lb_subset_config.subset_selectors[${i}]`));
  return report.attempt('lb_subset_config', () => subsetConfig(config));
}

function fromPolicies({ policies }: NonNullable<Cluster['loadBalancingPolicy']>, factories: readonly LoadBalancerFactory[], report: Report) {
  const messages = policyMessages(factories);
  const configs = policies.flatMap((policy, i) => {
    const path = `load_balancing_policy.policies[${i}]`;
    report.check(policyFields, policy, path);
    const any = policy.typedExtensionConfig?.typedConfig;
    if (!any) report.add(join(path, 'typed_extension_config.typed_config'), 'is required');
    return (any && unwrapTypedStruct(any, join(path, 'typed_extension_config.typed_config'), messages, report)) ?? [];
  });
  return report.attempt('load_balancing_policy', () => resolveLoadBalancing(configs, factories));
}

function fromEnum(cluster: Cluster, report: Report): ResolvedLoadBalancing | undefined {
  const { lbConfig, lbPolicy } = cluster;
  // Envoy's name for clusters that choose by themselves, as those made of others do.
  const own = lbPolicy === LbPolicy.CLUSTER_PROVIDED && cluster.clusterDiscoveryType.case === 'clusterType';
  const name = own ? 'ROUND_ROBIN' : (LbPolicy[lbPolicy] ?? String(lbPolicy));
  const settings: LegacySettings = {};
  const consistent = cluster.commonLbConfig?.consistentHashingLbConfig;
  if (consistent) report.check(consistentFields, consistent, 'common_lb_config.consistent_hashing_lb_config');
  if (consistent?.useHostnameForHashing) settings.useHostname = true;
  if (consistent?.hashBalanceFactor !== undefined) settings.hashBalanceFactor = consistent.hashBalanceFactor;
  if (lbConfig.case === 'leastRequestLbConfig') {
    report.check(leastRequestFields, lbConfig.value, 'least_request_lb_config');
    const { choiceCount, activeRequestBias } = lbConfig.value;
    if (choiceCount !== undefined) settings.choiceCount = choiceCount;
    if (activeRequestBias) settings.activeRequestBias = activeRequestBias.defaultValue;
  } else if (lbConfig.case === 'ringHashLbConfig') {
    const { minimumRingSize, maximumRingSize, hashFunction } = lbConfig.value;
    report.check(ringHashFields, lbConfig.value, 'ring_hash_lb_config');
    if (hashFunction === HashFunction.MURMUR_HASH_2) settings.hashFunction = 'murmur-hash-2';
    else if (hashFunction !== HashFunction.XX_HASH) report.unsupported('ring_hash_lb_config.hash_function');
    if (minimumRingSize !== undefined) settings.minimumRingSize = Number(minimumRingSize);
    if (maximumRingSize !== undefined) settings.maximumRingSize = Number(maximumRingSize);
  } else if (lbConfig.case === 'maglevLbConfig') {
    report.check(maglevFields, lbConfig.value, 'maglev_lb_config');
    if (lbConfig.value.tableSize !== undefined) settings.tableSize = Number(lbConfig.value.tableSize);
  } else if (lbConfig.case === 'roundRobinLbConfig') report.check(roundRobinFields, lbConfig.value, 'round_robin_lb_config');
  if (lbConfig.case === 'roundRobinLbConfig' || lbConfig.case === 'leastRequestLbConfig') {
    Object.assign(settings, report.attempt(lbConfig.case === 'roundRobinLbConfig' ? 'round_robin_lb_config' : 'least_request_lb_config', () => parseSlowStart(lbConfig.value.slowStartConfig)));
  }
  return report.attempt('lb_policy', () => ({ loadBalancing: legacyLoadBalancing(name, settings), localityWeighted: false }));
}
