// What policies say about localities besides choosing hosts.
import type { LocalityLbConfig } from '@weft/xds-api/load-balancing';

/** Read by `resolveLoadBalancing`: locality weights are to be used. */
export interface LocalityAwareConfig {
  localityWeighted: boolean;
}

/** Zone-aware routing needs a local cluster, which Weft does not have: Envoy without one balances over all zones, and so do we. */
export function localityConfig(config: LocalityLbConfig | undefined): LocalityAwareConfig {
  const { case: kind, value } = config?.localityConfigSpecifier ?? { case: undefined };
  if (kind === 'zoneAwareLbConfig' && value.failTrafficOnPanic) throw new Error('locality_lb_config.zone_aware_lb_config.fail_traffic_on_panic is not supported');
  return { localityWeighted: kind === 'localityWeightedLbConfig' };
}
