import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import {
  CircuitBreakers_Thresholds_RetryBudgetSchema,
  CircuitBreakers_ThresholdsSchema,
  CircuitBreakersSchema,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_TransportSocketMatchSchema,
  ClusterSchema,
  type CircuitBreakers_Thresholds,
  type Cluster,
} from '@weft/xds-api/cluster';
import { RoutingPriority } from '@weft/xds-api/core';
import type { LoadBalancerFactory } from '../load-balancing/load-balancer.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { ClusterConfig, DnsConfig, ThresholdsConfig } from './cluster-config.js';
import { decodeConnections } from './cluster-connections.js';
import { decodeHealthChecks } from './cluster-health-check.js';
import { decodeLoadBalancing } from './cluster-load-balancing.js';
import { decodeOutlierDetection } from './cluster-outlier-detection.js';
import { decodeUpstreamProtocol } from './cluster-protocol.js';
import { decodeFailureRefresh, decodeFamily } from './dns-cache.js';
import { decodeAssignment } from './endpoint.js';
import { decodeCustomType } from './cluster-custom-type.js';
import type { EndpointPolicy } from './endpoint-policy.js';
import { deepFreeze } from './freeze.js';
import { checkAds } from './http-connection-manager.js';
import { join, knownFields, Report } from './report.js';
import type { TransportSocketMatchConfig } from './tls-config.js';
import { decodeUpstreamSocket, type CertificateProviders } from './tls.js';
import { durationMs, filterMetadata, servicesOf } from './value.js';

const fields = knownFields(
  ClusterSchema,
  ['name', 'type', 'eds_cluster_config', 'connect_timeout', 'lb_policy', 'load_assignment', 'max_requests_per_connection', 'circuit_breakers', 'upstream_http_protocol_options', 'common_http_protocol_options', 'http2_protocol_options', 'typed_extension_protocol_options', 'dns_refresh_rate', 'outlier_detection', 'least_request_lb_config', 'round_robin_lb_config', 'ring_hash_lb_config', 'maglev_lb_config', 'common_lb_config', 'lb_subset_config', 'transport_socket', 'transport_socket_matches', 'metadata', 'close_connections_on_host_health_failure', 'load_balancing_policy', 'cluster_type', 'health_checks', 'ignore_health_on_host_removal', 'upstream_connection_options', 'upstream_bind_config', 'dns_failure_refresh_rate', 'respect_dns_ttl', 'dns_lookup_family'],
  // Names of statistics, buffers, how DNS is asked (the system's resolver decides), load reports (not sent yet).
  ['alt_stat_name', 'http_protocol_options', 'per_connection_buffer_limit_bytes', 'per_connection_buffer_high_watermark_timeout', 'use_tcp_for_dns_lookups', 'wait_for_warm_on_init', 'cleanup_interval', 'protocol_selection', 'lrs_server', 'lrs_report_endpoint_metrics', 'track_timeout_budgets', 'track_cluster_stats', 'preconnect_policy', 'connection_pool_per_downstream_connection'],
);
const breakerFields = knownFields(CircuitBreakersSchema, ['thresholds', 'per_host_thresholds']);
// Envoy, too, takes nothing else there.
const perHostFields = knownFields(CircuitBreakers_ThresholdsSchema, ['priority', 'max_connections']);
const thresholdFields = knownFields(CircuitBreakers_ThresholdsSchema, ['priority', 'max_connections', 'max_pending_requests', 'max_requests', 'max_retries', 'retry_budget', 'track_remaining'], ['max_connection_pools']);
const budgetFields = knownFields(CircuitBreakers_Thresholds_RetryBudgetSchema, ['budget_percent', 'min_retry_concurrency']);
const socketMatchFields = knownFields(Cluster_TransportSocketMatchSchema, ['name', 'match', 'transport_socket']);

export interface ClusterTypeOptions {
  loadBalancers: readonly LoadBalancerFactory[];
  certificateProviders: CertificateProviders;
  /** For endpoints that stand in the cluster itself. */
  policy: EndpointPolicy;
}

export function clusterType(options: ClusterTypeOptions): ResourceType<ClusterConfig> {
  return {
    typeUrl: typeUrl(ClusterSchema),
    name: 'Cluster',
    fullState: true,
    decode(value) {
      const cluster = fromBinary(ClusterSchema, value);
      const report = new Report();
      const resource = decodeCluster(cluster, options, report);
      report.finish(`Cluster ${cluster.name}`);
      return { name: cluster.name, resource: deepFreeze(resource as ClusterConfig) };
    },
  };
}

function decodeCluster(cluster: Cluster, options: ClusterTypeOptions, report: Report): ClusterConfig | undefined {
  report.check(fields, cluster, '');
  if (cluster.name === '') report.add('name', 'must not be empty');
  const type = decodeType(cluster, options.policy, report);
  const healthCheck = decodeHealthChecks(cluster.healthChecks, report);
  const outlierDetection = cluster.outlierDetection && decodeOutlierDetection(cluster.outlierDetection, 'outlier_detection', report);
  const transportSockets = decodeTransportSockets(cluster, options.certificateProviders, report);
  const balancing = decodeLoadBalancing(cluster, options.loadBalancers, report);
  const metadata = filterMetadata(cluster.metadata);
  const [service] = servicesOf(metadata);
  return type && balancing && {
    name: cluster.name,
    type,
    connectTimeoutMs: durationMs(cluster.connectTimeout, 'connect_timeout', report, { positive: true }) ?? 5000,
    ...balancing,
    thresholds: decodeThresholds(cluster, report),
    ...decodePerHost(cluster, report),
    ...decodeUpstreamProtocol(cluster, report),
    ...decodeConnections(cluster, report),
    transportSockets,
    ...(outlierDetection && { outlierDetection }),
    ...(healthCheck && { healthCheck }),
    ...(cluster.commonLbConfig?.ignoreNewHostsUntilFirstHc && { ignoreNewHostsUntilFirstHc: true }),
    ...(cluster.ignoreHealthOnHostRemoval && { ignoreHealthOnHostRemoval: true }),
    overprovisioningFactor: cluster.loadAssignment?.policy?.overprovisioningFactor ?? 140,
    closeConnectionsOnHostHealthFailure: cluster.closeConnectionsOnHostHealthFailure,
    ...(service && { service }),
    metadata,
  };
}

function decodeType(cluster: Cluster, policy: EndpointPolicy, report: Report): ClusterConfig['type'] | undefined {
  const discovery = cluster.clusterDiscoveryType;
  if (discovery.case === 'clusterType') {
    return decodeCustomType(cluster, discovery.value, report);
  }
  switch (discovery.value ?? DiscoveryType.STATIC) {
    case DiscoveryType.EDS: {
      checkAds(cluster.edsClusterConfig?.edsConfig, 'eds_cluster_config.eds_config', report);
      const serviceName = cluster.edsClusterConfig?.serviceName ?? '';
      if (serviceName === '' && cluster.name.startsWith('xdstp:')) report.add('eds_cluster_config.service_name', 'is required where the name starts with xdstp:');
      return { kind: 'eds', serviceName: serviceName || cluster.name };
    }
    case DiscoveryType.STATIC:
      return withAssignment(cluster, 'static', policy, report);
    case DiscoveryType.STRICT_DNS:
      return withAssignment(cluster, 'strict-dns', policy, report);
    case DiscoveryType.LOGICAL_DNS: {
      const type = withAssignment(cluster, 'logical-dns', policy, report);
      const endpoints = type?.assignment.localities.reduce((sum, locality) => sum + locality.endpoints.length, 0);
      if (type && (type.assignment.localities.length !== 1 || endpoints !== 1)) report.add('load_assignment.endpoints', 'LOGICAL_DNS takes one locality with one endpoint');
      return type;
    }
    case DiscoveryType.ORIGINAL_DST:
      report.add('type', 'ORIGINAL_DST is not supported: nothing redirects the connections of a process, so there is no original destination to go to; use EDS or STRICT_DNS, or a dynamic forward proxy cluster (envoy.clusters.dynamic_forward_proxy) to go wherever the authority says');
      return undefined;
    default:
      report.add('type', `${DiscoveryType[discovery.value as DiscoveryType] ?? discovery.value} is not supported`);
      return undefined;
  }
}

function withAssignment(cluster: Cluster, kind: 'static' | 'strict-dns' | 'logical-dns', policy: EndpointPolicy, report: Report) {
  if (!cluster.loadAssignment) {
    report.add('load_assignment', 'is required');
    return undefined;
  }
  const assignment = decodeAssignment(cluster.loadAssignment, 'load_assignment', { policy, source: kind === 'static' ? 'static' : 'dns' }, report);
  if (kind === 'static') return { kind, assignment };
  const dns: DnsConfig = {
    family: decodeFamily(cluster.dnsLookupFamily, 'dns_lookup_family', report),
    respectTtl: cluster.respectDnsTtl,
    refreshMs: durationMs(cluster.dnsRefreshRate, 'dns_refresh_rate', report, { positive: true }) ?? 5000,
    ...decodeFailureRefresh(cluster.dnsFailureRefreshRate, 'dns_failure_refresh_rate', report),
  };
  return { kind, assignment, dns };
}

// The last entry is what Envoy falls back to: transport_socket, or plain text where there is none.
function decodeTransportSockets(cluster: Cluster, providers: CertificateProviders, report: Report): TransportSocketMatchConfig[] {
  const sockets = cluster.transportSocketMatches.map((entry, i): TransportSocketMatchConfig => {
    const path = `transport_socket_matches[${i}]`;
    report.check(socketMatchFields, entry, path);
    if (!entry.transportSocket) report.add(join(path, 'transport_socket'), 'is required');
    return { name: entry.name, match: entry.match ?? {}, ...decodeUpstreamSocket(entry.transportSocket, join(path, 'transport_socket'), providers, report) };
  });
  const socket = decodeUpstreamSocket(cluster.transportSocket, 'transport_socket', providers, report);
  const last = sockets.at(-1);
  if (!last || Object.keys(last.match).length > 0) sockets.push({ name: cluster.transportSocket?.name ?? '', match: {}, ...socket });
  return sockets;
}

function decodeThresholds({ circuitBreakers }: Cluster, report: Report): ClusterConfig['thresholds'] {
  if (circuitBreakers) report.check(breakerFields, circuitBreakers, 'circuit_breakers');
  const thresholds = circuitBreakers?.thresholds ?? [];
  const of = (priority: RoutingPriority): ThresholdsConfig => {
    const i = thresholds.findIndex((entry) => entry.priority === priority);
    return decodePriority(thresholds[i], `circuit_breakers.thresholds[${i}]`, report);
  };
  return { default: of(RoutingPriority.DEFAULT), high: of(RoutingPriority.HIGH) };
}

function decodePerHost({ circuitBreakers }: Cluster, report: Report): Pick<ClusterConfig, 'maxConnectionsPerHost'> {
  const thresholds = circuitBreakers?.perHostThresholds ?? [];
  thresholds.forEach((entry, i) => report.check(perHostFields, entry, `circuit_breakers.per_host_thresholds[${i}]`));
  const maxConnections = thresholds.find(({ priority }) => priority === RoutingPriority.DEFAULT)?.maxConnections;
  if (maxConnections === 0) report.add('circuit_breakers.per_host_thresholds', 'max_connections must be 1 or more');
  return maxConnections === undefined ? {} : { maxConnectionsPerHost: maxConnections };
}

function decodePriority(thresholds: CircuitBreakers_Thresholds | undefined, path: string, report: Report): ThresholdsConfig {
  if (thresholds) report.check(thresholdFields, thresholds, path);
  const budget = thresholds?.retryBudget;
  if (budget) report.check(budgetFields, budget, join(path, 'retry_budget'));
  const percent = budget?.budgetPercent?.value ?? 20;
  if (!(percent >= 0 && percent <= 100)) report.add(join(path, 'retry_budget.budget_percent'), 'must be 0 to 100');
  return {
    maxConnections: thresholds?.maxConnections ?? 1024,
    maxPendingRequests: thresholds?.maxPendingRequests ?? 1024,
    maxRequests: thresholds?.maxRequests ?? 1024,
    maxRetries: thresholds?.maxRetries ?? 3,
    ...(thresholds?.trackRemaining && { trackRemaining: true }),
    ...(budget && { retryBudget: { percent, minConcurrency: budget.minRetryConcurrency ?? 3 } }),
  };
}
