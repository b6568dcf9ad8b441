import type { ModelBase } from './model-base.js';

/** How clients treat a host: a DestinationRule. Which one applies is the model's answer, see MeshReader.trafficPolicy. */
export interface TrafficPolicyRule extends ModelBase {
  type: 'traffic-policy';
  /** In full, or a wildcard. */
  host: string;
  exportTo: readonly string[];
  /** Client workloads it is for; empty = all. */
  workloadSelector: Readonly<Record<string, string>>;
  policy: TrafficPolicy;
  subsets: readonly Subset[];
}

export interface Subset {
  name: string;
  labels: Readonly<Record<string, string>>;
  policy: TrafficPolicy;
}

/** Blocks. A subset's block replaces the top-level one; a port's blocks replace all of them for that port. */
export interface TrafficPolicy {
  loadBalancer?: LoadBalancer;
  connectionPool?: ConnectionPool;
  outlierDetection?: OutlierDetection;
  tls?: ClientTls;
  retryBudget?: RetryBudget;
  breakers?: Breakers;
  proxyProtocol?: 'v1' | 'v2';
  ports: readonly { port: number; policy: Omit<TrafficPolicy, 'ports'> }[];
}

export interface LoadBalancer {
  /** `default` is LEAST_REQUEST (round robin for gRPC clients). */
  simple: 'default' | 'round-robin' | 'least-request' | 'random' | 'peak-ewma' | 'passthrough';
  consistentHash?: {
    header?: string;
    cookie?: { name: string; path: string; ttlMs?: number; attributes: readonly { name: string; value: string }[] };
    sourceIp?: boolean;
    queryParameter?: string;
    ring?: { minimumSize: number };
    maglev?: { tableSize: number };
  };
  /** With `peak-ewma`. Linkerd's defaults: 10 s, 30 ms, none. */
  peakEwma?: { decayMs?: number; defaultRttMs?: number; failurePenaltyMs?: number };
  /** Slow start. Envoy's defaults: from 10 % of the weight, linear. */
  warmup?: { durationMs: number; minimumPercent?: number; aggression?: number };
  locality?: {
    enabled: boolean;
    distribute: readonly { from: string; to: Readonly<Record<string, number>> }[];
    failover: readonly { from: string; to: string }[];
    failoverPriority: readonly string[];
  };
  /** Callers send what their own zone can carry to it. Replaces `locality`; failover is by region then. */
  zoneAware?: { enabled: boolean; minClusterSize?: number; failover: readonly { from: string; to: string }[]; failoverPriority: readonly string[] };
}

export interface ConnectionPool {
  maxConnections?: number;
  connectTimeoutMs?: number;
  maxConnectionDurationMs?: number;
  tcpIdleTimeoutMs?: number;
  http1MaxPendingRequests?: number;
  http2MaxRequests?: number;
  maxRequestsPerConnection?: number;
  maxRetries?: number;
  idleTimeoutMs?: number;
  h2Upgrade?: 'upgrade' | 'do-not-upgrade';
  maxConcurrentStreams?: number;
  tcpKeepalive?: { probes?: number; timeMs?: number; intervalMs?: number };
  http2KeepAlive?: { intervalMs: number; timeoutMs: number };
  /** Requests go out in the protocol in which the client made them. */
  useClientProtocol?: boolean;
}

/** Weft's own (docs/overload.md); what is left out is the data plane's default. */
export interface Breakers {
  adaptive?: { latencyThresholdMs: number; minConcurrency?: number; maxConcurrency?: number };
  errorRate?: { errorThresholdPercent?: number; volumeThreshold?: number; rollingWindowMs?: number; resetTimeoutMs?: number };
}

/** Retries at a time, as a share of the requests that run. */
export interface RetryBudget {
  percent?: number;
  minConcurrency?: number;
}

export interface OutlierDetection {
  consecutive5xx?: number;
  consecutiveGatewayErrors?: number;
  splitExternalLocalOriginErrors?: boolean;
  consecutiveLocalOriginFailures?: number;
  intervalMs?: number;
  baseEjectionMs?: number;
  maxEjectionPercent?: number;
  minHealthPercent?: number;
}

export interface ClientTls {
  mode: 'disable' | 'simple' | 'mutual' | 'istio-mutual';
  sni?: string;
  subjectAltNames: readonly string[];
  caCertificates?: string;
  clientCertificate?: string;
  privateKey?: string;
  insecureSkipVerify: boolean;
}
