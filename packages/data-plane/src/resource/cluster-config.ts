// Cluster and ClusterLoadAssignment, decoded. Durations are milliseconds.
import type { DestinationService, WorkloadInfo } from '../stream/stream-info.js';
import type { TransportSocketMatchConfig } from './tls-config.js';

export interface ClusterConfig {
  name: string;
  type:
    | { kind: 'eds'; serviceName: string }
    | { kind: 'static' | 'strict-dns' | 'logical-dns'; assignment: EndpointsConfig; dnsRefreshMs: number }
    | { kind: 'aggregate'; clusters: readonly string[] }
    | { kind: 'original-dst' };
  connectTimeoutMs: number;
  loadBalancing: LoadBalancingConfig;
  /** By priority; fields left out have Envoy's defaults (1024, 1024, 1024, 3). */
  thresholds: { default: ThresholdsConfig; high: ThresholdsConfig };
  maxRequestsPerConnection?: number;
  /** Idle upstream connections close after this; 0 = never. Envoy's default is 1 h. */
  idleTimeoutMs: number;
  maxConnectionDurationMs?: number;
  protocol: 'http1' | 'http2' | 'auto';
  maxConcurrentStreams?: number;
  /** Always ends with one that matches everything; plain text where it has no tls. */
  transportSockets: readonly TransportSocketMatchConfig[];
  outlierDetection?: OutlierDetectionConfig;
  healthyPanicThreshold: number;
  overprovisioningFactor: number;
  localityWeighted: boolean;
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
  hostname: string;
  weight: number;
  health: HealthStatus;
  metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** From filter_metadata.weft. */
  spiffeId?: string;
  identityMissing: boolean;
  workload?: WorkloadInfo;
}
