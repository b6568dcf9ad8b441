// `cluster_type`: kinds of clusters that Envoy has as extensions.
import { AggregateClusterConfigSchema, DynamicForwardProxyClusterConfigSchema, type Cluster, type Cluster_CustomClusterType, type DynamicForwardProxyClusterConfig } from '@weft/xds-api/cluster';
import type { ClusterConfig } from './cluster-config.js';
import { decodeDnsCache } from './dns-cache.js';
import { knownFields, type Report } from './report.js';
import { typeNameOf, unpack } from './value.js';

const aggregateFields = knownFields(AggregateClusterConfigSchema, ['clusters']);
// Connections are one host's, as undici's pools are.
const proxyFields = knownFields(DynamicForwardProxyClusterConfigSchema, ['dns_cache_config', 'allow_insecure_cluster_options'], ['allow_coalesced_connections']);
const path = 'cluster_type.typed_config';

/** By the type of its configuration; the name is the user's to choose, as for Envoy's extensions. */
export function decodeCustomType(cluster: Cluster, { name, typedConfig }: Cluster_CustomClusterType, report: Report): ClusterConfig['type'] | undefined {
  if (!typedConfig) {
    report.add(path, 'is required');
    return undefined;
  }
  switch (typeNameOf(typedConfig)) {
    case AggregateClusterConfigSchema.typeName: {
      const aggregate = unpack(typedConfig, AggregateClusterConfigSchema, path, report);
      if (!aggregate) return undefined;
      report.check(aggregateFields, aggregate, path);
      if (aggregate.clusters.length === 0) report.add(`${path}.clusters`, 'must name a cluster');
      return { kind: 'aggregate', clusters: aggregate.clusters };
    }
    case DynamicForwardProxyClusterConfigSchema.typeName: {
      const proxy = unpack(typedConfig, DynamicForwardProxyClusterConfigSchema, path, report);
      return proxy && decodeForwardProxy(cluster, proxy, report);
    }
    default:
      report.add('cluster_type', `${JSON.stringify(name)} is not supported`);
      return undefined;
  }
}

function decodeForwardProxy(cluster: Cluster, proxy: DynamicForwardProxyClusterConfig, report: Report): ClusterConfig['type'] | undefined {
  report.check(proxyFields, proxy, path);
  if (cluster.loadAssignment) report.add('load_assignment', 'must not be set: hosts are those that requests name');
  const { clusterImplementationSpecifier: specifier } = proxy;
  if (specifier.case === 'dnsCacheConfig') return { kind: 'dynamic-forward-proxy', cache: decodeDnsCache(specifier.value, `${path}.dns_cache_config`, report) };
  report.add(`${path}.dns_cache_config`, 'is required');
  return undefined;
}
