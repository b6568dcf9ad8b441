// Cluster and ClusterLoadAssignment, decoded. Durations are milliseconds.
import type { OverrideHostSource, SubsetConfig, ZoneAwareConfig } from './balancing-config.js';
import type { DestinationService, WorkloadInfo } from '../stream/stream-info.js';
import type { StringMatcherConfig } from './matcher-config.js';
import type { HeaderMutationConfig } from './route-config.js';
import type { TransportSocketMatchConfig } from './tls-config.js';

export interface ClusterConfig {
  name: string;
  type:
    | { kind: 'eds'; serviceName: string }
    | { kind: 'static'; assignment: EndpointsConfig }
    | { kind: 'strict-dns' | 'logical-dns'; assignment: EndpointsConfig; dns: DnsConfig }
    | { kind: 'aggregate'; clusters: readonly string[] }
    | { kind: 'dynamic-forward-proxy'; cache: DnsCacheConfig };
  connectTimeoutMs: number;
  loadBalancing: LoadBalancingConfig;
  /** By priority; fields left out have Envoy's defaults (1024, 1024, 1024, 3). */
  thresholds: { default: ThresholdsConfig; high: ThresholdsConfig };
  maxRequestsPerConnection?: number;
  /** To each host (`per_host_thresholds`), below max_connections. */
  maxConnectionsPerHost?: number;
  /** Idle upstream connections close after this; 0 = never. Envoy's default is 1 h. */
  idleTimeoutMs: number;
  maxConnectionDurationMs?: number;
  protocol: 'http1' | 'http2' | 'auto';
  /** Pings on HTTP/2 connections; one without an answer in time ends the connection. */
  http2KeepAlive?: { intervalMs: number; timeoutMs: number };
  /** When TCP begins to ask an idle peer whether it is there. */
  tcpKeepAliveMs?: number;
  happyEyeballs?: HappyEyeballsConfig;
  /** Addresses to connect from; the first of the right family counts, else the first. */
  sourceAddresses?: readonly HostAddress[];
  maxConcurrentStreams?: number;
  /** Always ends with one that matches everything; plain text where it has no tls. */
  transportSockets: readonly TransportSocketMatchConfig[];
  outlierDetection?: OutlierDetectionConfig;
  healthCheck?: HealthCheckConfig;
  /** Hosts that were not checked yet do not count as there: neither for panic nor for priorities. */
  ignoreNewHostsUntilFirstHc?: boolean;
  /** A host that left goes at once; otherwise it stays for as long as health checks find it well. */
  ignoreHealthOnHostRemoval?: boolean;
  healthyPanicThreshold: number;
  overprovisioningFactor: number;
  localityWeighted: boolean;
  /** Undefined: Envoy's defaults, where a local cluster is known. */
  zoneAware?: ZoneAwareConfig;
  subsets?: SubsetConfig;
  /** Where attempts find the names of the hosts that they are to go to. */
  overrideHosts?: readonly OverrideHostSource[];
  /** Of a host that a filter asks for. Undefined: unknown, healthy, degraded. */
  overrideHostStatus?: readonly HealthStatus[];
  closeConnectionsOnHostHealthFailure: boolean;
  service?: DestinationService;
  metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Fields left out have Envoy's defaults (upstream/outlier-detector.ts). Percentages are 0 to 100. */
export interface OutlierDetectionConfig {
  intervalMs?: number;
  baseEjectionTimeMs?: number;
  maxEjectionTimeMs?: number;
  maxEjectionTimeJitterMs?: number;
  maxEjectionPercent?: number;
  alwaysEjectOneHost?: boolean;
  successfulActiveHealthCheckUnejectHost?: boolean;
  splitExternalLocalOriginErrors?: boolean;
  consecutive5xx?: number;
  enforcingConsecutive5xx?: number;
  consecutiveGatewayFailure?: number;
  enforcingConsecutiveGatewayFailure?: number;
  consecutiveLocalOriginFailure?: number;
  enforcingConsecutiveLocalOriginFailure?: number;
  enforcingSuccessRate?: number;
  enforcingLocalOriginSuccessRate?: number;
  successRateMinimumHosts?: number;
  successRateRequestVolume?: number;
  successRateStdevFactor?: number;
  failurePercentageThreshold?: number;
  enforcingFailurePercentage?: number;
  enforcingFailurePercentageLocalOrigin?: number;
  failurePercentageMinimumHosts?: number;
  failurePercentageRequestVolume?: number;
}

/** Active health checks (`health_checks`, of which there is one). Defaults are Envoy's and filled in. */
export interface HealthCheckConfig {
  check:
    | { kind: 'http'; path: string; host: string; method: string; http2: boolean; headers: HeaderMutationConfig; expected: readonly StatusRange[]; retriable: readonly StatusRange[]; receive: readonly string[]; bufferSize: number; serviceName?: StringMatcherConfig }
    | { kind: 'grpc'; serviceName: string; authority: string; headers: HeaderMutationConfig }
    /** Payloads in hexadecimal. */
    | { kind: 'tcp'; send: string; receive: readonly string[] };
  timeoutMs: number;
  intervalMs: number;
  /** While the cluster has not been sent any request. */
  noTrafficIntervalMs: number;
  noTrafficHealthyIntervalMs: number;
  unhealthyIntervalMs: number;
  /** While a change of health waits for its threshold. */
  unhealthyEdgeIntervalMs: number;
  healthyEdgeIntervalMs: number;
  initialJitterMs: number;
  intervalJitterMs: number;
  intervalJitterPercent: number;
  unhealthyThreshold: number;
  healthyThreshold: number;
  altPort?: number;
  reuseConnection: boolean;
  logFailures: boolean;
  logSuccesses: boolean;
  alpn: readonly string[];
  /** Instead of the endpoint's `envoy.transport_socket_match` metadata. */
  transportSocketMatch?: Readonly<Record<string, unknown>>;
}

/** How names are resolved. */
export interface DnsConfig {
  family: 'auto' | 'v4-only' | 'v6-only' | 'v4-preferred' | 'all';
  /** Names are asked for again when the answer's time to live is over, where it is known. */
  respectTtl: boolean;
  refreshMs: number;
  /** Instead, as long as a name cannot be resolved. */
  failureRefresh?: { baseMs: number; maxMs: number };
}

/** Names that requests brought (dynamic forward proxy). */
export interface DnsCacheConfig {
  name: string;
  dns: DnsConfig;
  /** How long a host stays that nobody asks for. */
  hostTtlMs: number;
  maxHosts: number;
  /** Requests that wait for an answer at a time. */
  maxPending: number;
  queryTimeoutMs: number;
  preresolve: readonly { host: string; port: number }[];
}

export interface HostAddress {
  address: string;
  port: number;
}

/** How the addresses of one host take turns. */
export interface HappyEyeballsConfig {
  /** Default: that of the host's first address. */
  firstFamily?: 'ipv4' | 'ipv6';
  /** So many of the first family before the other one's turn. Default 1. */
  firstCount?: number;
}

/** From `start` to before `end`. */
export interface StatusRange {
  start: number;
  end: number;
}

/** Name of a policy in load-balancing/builtin.ts and what its factory parsed. */
export interface LoadBalancingConfig {
  policy: string;
  config: unknown;
}

export interface ThresholdsConfig {
  maxConnections: number;
  maxPendingRequests: number;
  maxRequests: number;
  maxRetries: number;
  /** Gauges tell how much of each limit is left. */
  trackRemaining?: boolean;
  retryBudget?: { percent: number; minConcurrency: number };
}

export interface EndpointsConfig {
  clusterName: string;
  localities: readonly LocalityEndpointsConfig[];
  /** Per category, parts of the denominator. */
  drops: readonly { category: string; numerator: number; denominator: number }[];
  overprovisioningFactor: number;
}

export interface LocalityEndpointsConfig {
  region: string;
  zone: string;
  subZone: string;
  /** 1 or more. */
  weight: number;
  priority: number;
  endpoints: readonly EndpointConfig[];
}

export type HealthStatus = 'unknown' | 'healthy' | 'unhealthy' | 'draining' | 'timeout' | 'degraded';

export interface EndpointConfig {
  /** IP address, or a DNS name for DNS clusters, or a socket path. */
  address: string;
  /** 0 for socket paths. */
  port: number;
  /** `host:port` that requests name it by, in a dynamic forward proxy: two of them may have one address. */
  logicalName?: string;
  /** Further addresses of the same host. */
  additionalAddresses?: readonly HostAddress[];
  hostname: string;
  weight: number;
  health: HealthStatus;
  metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** From filter_metadata.weft. */
  spiffeId?: string;
  identityMissing: boolean;
  workload?: WorkloadInfo;
  healthCheck?: EndpointHealthCheckConfig;
}

/** Where an endpoint is checked, where that is not where its requests go. */
export interface EndpointHealthCheckConfig {
  address?: string;
  port?: number;
  hostname?: string;
  disabled: boolean;
}
