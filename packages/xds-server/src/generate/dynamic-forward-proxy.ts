// Wildcard hosts whose names are resolved as requests come (DYNAMIC_DNS): a filter that looks names up, and a cluster of what it found.
import { Cluster_DnsLookupFamily as DnsLookupFamily, DynamicForwardProxyClusterConfigSchema, DynamicForwardProxyFilterConfigSchema } from '@weft/xds-api/cluster';
import { extension } from './message.js';

/** One cache for all: what is resolved for one service is known for the others. Both sides must be configured alike. */
const dnsCacheConfig = { name: 'dynamic-dns', dnsLookupFamily: DnsLookupFamily.V4_PREFERRED } as const;

export function dynamicForwardProxyFilter() {
  return extension('envoy.filters.http.dynamic_forward_proxy', DynamicForwardProxyFilterConfigSchema, { implementationSpecifier: { case: 'dnsCacheConfig', value: dnsCacheConfig } });
}

export function dynamicForwardProxyType() {
  const { name, configType } = extension('envoy.clusters.dynamic_forward_proxy', DynamicForwardProxyClusterConfigSchema, { clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: dnsCacheConfig } });
  return { case: 'clusterType', value: { name, typedConfig: configType.value } } as const;
}
