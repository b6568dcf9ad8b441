// Clusters: how one port of a service, or a subset of it, is reached.
import {
  Cluster_DiscoveryType as DiscoveryType, Cluster_DnsLookupFamily as DnsLookupFamily, Cluster_LbPolicy as LbPolicy, ClusterSchema, HttpProtocolOptionsSchema, type CircuitBreakers_ThresholdsSchema,
} from '@weft/xds-api/cluster';
import { selects } from '../model/model-object.js';
import type { ConnectionPool, LoadBalancer } from '../model/traffic-policy.js';
import { clusterTarget, discovery, type ClusterTarget } from './cluster-target.js';
import { dynamicForwardProxyType } from './dynamic-forward-proxy.js';
import { hostItself, loadAssignment, subsetEndpoints } from './endpoint.js';
import type { GenerateContext, GeneratedResource, ProfileName } from './generator.js';
import { loadBalancing } from './load-balancing.js';
import { duration, encode, extension, overAds, type Init } from './message.js';
import { blackHoleCluster } from './name.js';
import { behindProxyHeader } from './proxy-protocol.js';
import { outlierDetection, warnWhereInert } from './outlier-detection.js';
import { clusterTls } from './tls-context.js';
import type { EffectivePolicy } from './traffic-policy.js';
import { serviceMetadata } from './workload-metadata.js';

type ClusterInit = Init<typeof ClusterSchema>;

/** Istio's default; Envoy's own is 5 s. */
const connectTimeoutMs = 10_000;
/** Istio's default for all limits: none, unless a policy asks. */
const unlimited = 2 ** 32 - 1;

export function cluster(context: GenerateContext, profile: ProfileName, clusterName: string): GeneratedResource | undefined {
  if (profile === 'grpc' && clusterName === blackHoleCluster) {
    return encode(ClusterSchema, { name: clusterName, ...overEds(clusterName), ...loadBalancing(context, profile, undefined, (reason) => context.warn(reason)) });
  }
  const target = clusterTarget(context, profile, clusterName);
  if (target === undefined) return undefined;
  const { policy, service } = target;
  const warn = (reason: string) => context.warn(`${policy.rule?.origin ?? service.origin}: ${clusterName}: ${reason}`);
  const http2 = usesHttp2(target);
  const withhold = (reason: string): undefined => void warn(`withheld: ${reason}`);
  if (profile === 'grpc' && policy.proxyProtocol) return withhold('proxyProtocol: gRPC clients send no PROXY header');
  const tls = clusterTls(context, profile, target, http2);
  if (typeof tls === 'string') return withhold(tls);
  const found = endpointDiscovery(context, profile, target);
  if (typeof found === 'string') return withhold(found);
  if (policy.breakers && profile !== 'weft') warn('breakers: only Weft clients have them');
  const outliers = outlierDetection(profile, policy.outlierDetection, warn);
  if (profile === 'envoy' && policy.outlierDetection) warnWhereInert(policy.outlierDetection, subsetEndpoints(context, target).length, warn);
  return encode(ClusterSchema, {
    name: clusterName,
    ...found,
    connectTimeout: duration(policy.connectionPool?.connectTimeoutMs ?? connectTimeoutMs),
    ...balancing(context, profile, target, warn),
    circuitBreakers: { thresholds: [thresholds(profile, policy)] },
    ...(outliers && { outlierDetection: outliers }),
    ...(policy.proxyProtocol ? behindProxyHeader(tls, policy.proxyProtocol) : tls),
    metadata: { filterMetadata: { istio: { services: [serviceMetadata(service)] } } },
    ...(profile === 'grpc' ? grpcLimits(policy, warn) : { ...panic(policy), ...protocolOptions(policy.connectionPool, http2, service.resolution === 'dynamic-dns'), ...tcpKeepalive(policy.connectionPool) }),
  });
}

/** Where each request names its host there is nothing to choose. */
function balancing(context: GenerateContext, profile: ProfileName, { service, policy }: ClusterTarget, warn: (reason: string) => void): ClusterInit {
  if (service.resolution !== 'dynamic-dns') return loadBalancing(context, profile, policy.loadBalancer, warn);
  if (policy.loadBalancer) warn('loadBalancer: has no effect with DYNAMIC_DNS, where requests name their host');
  return { lbPolicy: LbPolicy.CLUSTER_PROVIDED };
}

function overEds(serviceName: string): Pick<ClusterInit, 'clusterDiscoveryType' | 'edsClusterConfig'> {
  return { clusterDiscoveryType: { case: 'type', value: DiscoveryType.EDS }, edsClusterConfig: { edsConfig: overAds, serviceName } };
}

/** Where endpoints come from; a string says why the client cannot be told. */
function endpointDiscovery(context: GenerateContext, profile: ProfileName, target: ClusterTarget): ClusterInit | string {
  const kind = discovery(context, profile, target);
  if (kind.kind === 'none') return kind.reason;
  if (kind.kind === 'eds') return overEds(target.clusterName);
  if (kind.kind === 'dynamic') return { clusterDiscoveryType: dynamicForwardProxyType() };
  const { service, port, policy } = target;
  const named = subsetEndpoints(context, target);
  const itself = service.endpoints.length === 0 && selects(policy.subset?.labels ?? {}, {}) ? [hostItself(service, port)] : [];
  const endpoints = named.length > 0 ? named : itself;
  return {
    clusterDiscoveryType: { case: 'type', value: kind.logical ? DiscoveryType.LOGICAL_DNS : DiscoveryType.STRICT_DNS },
    loadAssignment: loadAssignment(context, profile, target, kind.logical ? endpoints.slice(0, 1) : endpoints),
    dnsLookupFamily: DnsLookupFamily.V4_PREFERRED,
  };
}

function usesHttp2({ port, policy }: ClusterTarget): boolean {
  if (port.protocol === 'grpc' || port.protocol === 'http2') return true;
  return port.protocol === 'http' && policy.connectionPool?.h2Upgrade === 'upgrade';
}

function thresholds(profile: ProfileName, { connectionPool: pool = {}, retryBudget }: EffectivePolicy): Init<typeof CircuitBreakers_ThresholdsSchema> {
  const maxRequests = pool.http2MaxRequests ?? unlimited;
  // gRPC reads only max_requests, and takes 1024 where it is absent.
  if (profile === 'grpc') return { maxRequests };
  return {
    maxConnections: pool.maxConnections ?? unlimited,
    maxPendingRequests: pool.http1MaxPendingRequests ?? unlimited,
    maxRequests,
    maxRetries: pool.maxRetries ?? unlimited,
    ...(retryBudget && { retryBudget: { ...(retryBudget.percent !== undefined && { budgetPercent: { value: retryBudget.percent } }), ...(retryBudget.minConcurrency !== undefined && { minRetryConcurrency: retryBudget.minConcurrency }) } }),
    trackRemaining: true,
  };
}

/**
 * Unready endpoints are sent with their health, so panic mode would hand requests to them as soon as they are the majority:
 * it is off unless minHealthPercent asks for it, as in Istio when it sends unhealthy endpoints.
 */
function panic({ outlierDetection: outliers, loadBalancer }: EffectivePolicy): Pick<ClusterInit, 'commonLbConfig'> {
  const { zoneAware } = loadBalancer ?? {};
  const weighted = !zoneAware?.enabled && loadBalancer?.locality?.enabled !== false && (loadBalancer?.locality?.distribute.length ?? 0) > 0;
  return {
    commonLbConfig: {
      healthyPanicThreshold: { value: outliers?.minHealthPercent ?? 0 },
      ...(weighted ? { localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} } } : {}),
      ...(!weighted && zoneAware ? { localityConfigSpecifier: { case: 'zoneAwareLbConfig', value: zoneAwareConfig(zoneAware) } } : {}),
    },
  };
}

/** A client that has a local cluster routes by zone unless it is told not to. */
function zoneAwareConfig({ enabled, minClusterSize }: NonNullable<LoadBalancer['zoneAware']>) {
  return { ...(!enabled && { routingEnabled: { value: 0 } }), ...(minClusterSize !== undefined && { minClusterSize: BigInt(minClusterSize) }) };
}

function protocolOptions(pool: ConnectionPool = {}, http2: boolean, namedByRequests: boolean): Pick<ClusterInit, 'typedExtensionProtocolOptions'> {
  const { idleTimeoutMs = pool.tcpIdleTimeoutMs, maxConnectionDurationMs, maxRequestsPerConnection, maxConcurrentStreams, http2KeepAlive } = pool;
  const http2Options = {
    ...(maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams }),
    ...(http2KeepAlive && { connectionKeepalive: { interval: duration(http2KeepAlive.intervalMs), timeout: duration(http2KeepAlive.timeoutMs) } }),
  };
  const options = extension('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', HttpProtocolOptionsSchema, {
    commonHttpProtocolOptions: {
      ...(idleTimeoutMs === undefined ? {} : { idleTimeout: duration(idleTimeoutMs) }),
      ...(maxConnectionDurationMs === undefined ? {} : { maxConnectionDuration: duration(maxConnectionDurationMs) }),
      ...(maxRequestsPerConnection ? { maxRequestsPerConnection } : {}),
    },
    // Envoy wants both where requests name their host: the certificate must be that host's.
    ...(namedByRequests && { upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: true } }),
    upstreamProtocolOptions: pool.useClientProtocol
      ? { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions: http2Options } }
      : { case: 'explicitHttpConfig', value: { protocolConfig: http2 ? { case: 'http2ProtocolOptions', value: http2Options } : { case: 'httpProtocolOptions', value: {} } } },
  });
  return { typedExtensionProtocolOptions: { [options.name]: options.configType.value } };
}

function tcpKeepalive({ tcpKeepalive: keepalive }: ConnectionPool = {}): Pick<ClusterInit, 'upstreamConnectionOptions'> {
  if (!keepalive) return {};
  const { probes, timeMs, intervalMs } = keepalive;
  const tcp = { ...(probes !== undefined && { keepaliveProbes: probes }), ...(timeMs !== undefined && { keepaliveTime: Math.round(timeMs / 1000) }), ...(intervalMs !== undefined && { keepaliveInterval: Math.round(intervalMs / 1000) }) };
  return { upstreamConnectionOptions: { tcpKeepalive: tcp } };
}

function grpcLimits({ connectionPool: pool, retryBudget }: EffectivePolicy, warn: (reason: string) => void): ClusterInit {
  const { http2MaxRequests: _, connectTimeoutMs: _connect, h2Upgrade: _h2, useClientProtocol: _protocol, ...rest } = pool ?? {};
  if (retryBudget) warn('retryBudget: gRPC clients have none');
  const lost = Object.entries(rest).flatMap(([field, value]) => (value === undefined ? [] : [field.replace(/Ms$/, '')]));
  if (lost.length > 0) warn(`connectionPool: gRPC clients have no ${lost.join(', ')}`);
  return {};
}
