import type { Clock } from '@weft/spiffe';
import type { BootstrapOptions } from './bootstrap/bootstrap.js';
import type { BreakerOptions } from './filter/concurrency/breaker-options.js';
import type { HttpFilterFactory } from './filter/http-filter.js';
import type { LoadReportAudience } from './inbound/load-recorder.js';
import type { LoadBalancerFactory } from './load-balancing/load-balancer.js';
import type { AccessLogSink } from './telemetry/access-log.js';
import type { Logger } from './telemetry/logger.js';
import type { MetricRegistry } from './telemetry/prometheus.js';
import type { RetryOptions } from './outbound/retry-options.js';

export interface RuntimeOptions extends BootstrapOptions {
  /** Default: stderr, from the level WEFT_LOG (default `warn`). */
  logger?: Logger;
  clock?: Clock;
  /** HTTP filters of the application's own, beside the built-in ones. */
  filters?: readonly HttpFilterFactory[];
  /** Load-balancing policies of the application's own, beside the built-in ones. */
  loadBalancers?: readonly LoadBalancerFactory[];
  /** Where hosts that are not in the mesh go: to wherever the application sends them without it, or nowhere. Default `ALLOW_ANY`. */
  outboundTrafficPolicy?: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  /** What the client does about retries beside what routes say of them. */
  retries?: RetryOptions;
  /** Breakers before every cluster that this process calls. Default: none but the limits that the configuration sets. */
  breakers?: BreakerOptions;
  /** A prom-client Registry in which Weft's metrics appear. */
  registry?: MetricRegistry;
  /** `true`: JSON lines on stdout; a path; or a function. Default: none. */
  accessLog?: boolean | string | AccessLogSink;
  /** Endpoints on loopback addresses. Default: only where the control plane is on loopback too. */
  allowLoopbackEndpoints?: boolean;
  /** Which callers of a server are told how busy it is (ORCA load reports in responses). Default `mesh`. */
  loadReports?: LoadReportAudience;
  /** Where a dynamic forward proxy may connect to beside public addresses: addresses or CIDR ranges. Default: nowhere else. */
  forwardProxyAllow?: readonly string[];
  /** How many dialled names are followed at once. Default 1000. */
  maxNames?: number;
  /** Longest wait between attempts to reach the control plane, milliseconds. Default 15,000. */
  maxBackoffMs?: number;
  /** Close on SIGTERM, then let the process end. Default false: servers drain first, by `mesh.close()`. */
  handleSigterm?: boolean;
}
