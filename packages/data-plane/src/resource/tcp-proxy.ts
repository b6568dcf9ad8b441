// envoy.filters.network.tcp_proxy: where the bytes of a connection go.
import { TcpProxy_WeightedCluster_ClusterWeightSchema, TcpProxy_WeightedClusterSchema, TcpProxySchema, type TcpProxy, type TcpProxy_WeightedCluster } from '@weft/xds-api/http';
import { join, knownFields, type Report } from './report.js';
import { durationMs, filterMetadata, maxTotalWeight } from './value.js';

export interface TcpProxyConfig {
  /** One of them is chosen for each connection. */
  clusters: readonly TcpClusterConfig[];
  totalWeight: number;
  /** Of silence in both directions; 0 = none. Envoy's default is one hour. */
  idleTimeoutMs: number;
  maxConnectionMs?: number;
  maxConnectAttempts: number;
  /** The host follows from the caller's address. */
  hashesSource: boolean;
}

export interface TcpClusterConfig {
  name: string;
  weight: number;
  metadataMatch?: Readonly<Record<string, unknown>>;
}

// The access log of a process is an option of its own.
const fields = knownFields(
  TcpProxySchema,
  ['cluster', 'weighted_clusters', 'metadata_match', 'idle_timeout', 'max_connect_attempts', 'hash_policy', 'max_downstream_connection_duration'],
  ['stat_prefix', 'access_log', 'access_log_flush_interval', 'flush_access_log_on_connected', 'access_log_options'],
);
const weightedFields = knownFields(TcpProxy_WeightedClusterSchema, ['clusters']);
const weightFields = knownFields(TcpProxy_WeightedCluster_ClusterWeightSchema, ['name', 'weight', 'metadata_match']);
const oneHour = 3_600_000;

export function decodeTcpProxy(proxy: TcpProxy, path: string, report: Report): TcpProxyConfig {
  report.check(fields, proxy, path);
  const metadataMatch = filterMetadata(proxy.metadataMatch)['envoy.lb'];
  const clusters = decodeClusters(proxy, metadataMatch, path, report);
  const maxConnectionMs = durationMs(proxy.maxDownstreamConnectionDuration, join(path, 'max_downstream_connection_duration'), report);
  if (proxy.maxConnectAttempts === 0) report.add(join(path, 'max_connect_attempts'), 'must be at least 1');
  proxy.hashPolicy.forEach(({ policySpecifier }, i) => {
    if (policySpecifier.case !== 'sourceIp') report.unsupported(`${join(path, 'hash_policy')}[${i}].${policySpecifier.case === 'filterState' ? 'filter_state' : ''}`);
  });
  return {
    clusters,
    totalWeight: clusters.reduce((sum, { weight }) => sum + weight, 0),
    idleTimeoutMs: durationMs(proxy.idleTimeout, join(path, 'idle_timeout'), report) ?? oneHour,
    ...(maxConnectionMs !== undefined && { maxConnectionMs }),
    maxConnectAttempts: proxy.maxConnectAttempts ?? 1,
    hashesSource: proxy.hashPolicy.length > 0,
  };
}

function decodeClusters({ clusterSpecifier: specifier }: TcpProxy, metadataMatch: TcpClusterConfig['metadataMatch'], path: string, report: Report): TcpClusterConfig[] {
  switch (specifier.case) {
    case 'cluster':
      if (specifier.value === '') report.add(join(path, 'cluster'), 'must not be empty');
      return [{ name: specifier.value, weight: 1, ...(metadataMatch && { metadataMatch }) }];
    case 'weightedClusters':
      return decodeWeighted(specifier.value, metadataMatch, join(path, 'weighted_clusters'), report);
    default:
      report.add(path, 'one of cluster, weighted_clusters is required');
      return [];
  }
}

function decodeWeighted(weighted: TcpProxy_WeightedCluster, common: TcpClusterConfig['metadataMatch'], path: string, report: Report): TcpClusterConfig[] {
  report.check(weightedFields, weighted, path);
  const clusters = weighted.clusters.map((cluster, i): TcpClusterConfig => {
    const at = `${path}.clusters[${i}]`;
    report.check(weightFields, cluster, at);
    if (cluster.name === '') report.add(join(at, 'name'), 'must not be empty');
    if (cluster.weight < 1) report.add(join(at, 'weight'), 'must be at least 1');
    const own = filterMetadata(cluster.metadataMatch)['envoy.lb'];
    const metadataMatch = own || common ? { ...common, ...own } : undefined;
    return { name: cluster.name, weight: cluster.weight, ...(metadataMatch && { metadataMatch }) };
  });
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  if (clusters.length === 0 || total > maxTotalWeight) report.add(path, `the weights must sum to 1 to ${maxTotalWeight}, they sum to ${total}`);
  return clusters;
}
