// What policies say besides choosing hosts: localities, and what consistent hashing has in common.
import type { ConsistentHashingLbConfig, LocalityLbConfig } from '@weft/xds-api/load-balancing';
import type { ConsistentHashConfig } from '../consistent-hash.js';
import type { ZoneAwareConfig } from '../../resource/balancing-config.js';
import { zoneAwareConfig } from '../zone-aware-picker.js';

/** Read by `resolveLoadBalancing`. */
export interface LocalityAwareConfig {
  /** Locality weights are to be used. */
  localityWeighted: boolean;
  /** Requests are to stay in the own zone as far as it can carry them. */
  zoneAware?: ZoneAwareConfig;
}

export function localityConfig(config: LocalityLbConfig | undefined): LocalityAwareConfig {
  const { case: kind, value } = config?.localityConfigSpecifier ?? { case: undefined };
  return { localityWeighted: kind === 'localityWeightedLbConfig', ...(kind === 'zoneAwareLbConfig' && { zoneAware: zoneAwareConfig(value) }) };
}

export function consistentOf(config: Pick<ConsistentHashingLbConfig, 'useHostnameForHashing' | 'hashBalanceFactor'> | undefined): Partial<ConsistentHashConfig> {
  return { useHostname: config?.useHostnameForHashing === true, ...(config?.hashBalanceFactor !== undefined && { hashBalanceFactor: config.hashBalanceFactor }) };
}
