// Envoy's circuit breakers: limits on what one cluster may have going at a time, by route priority.
import type { ClusterConfig, ThresholdsConfig } from '../resource/cluster-config.js';
import type { Counter } from '../telemetry/stats.js';
import type { ClusterStats } from './cluster-stats.js';
import type { RoutePriority } from './upstream-cluster.js';

interface Counts {
  requests: number;
  retries: number;
  /** Of byte streams; those of HTTP are counted by their requests. */
  connections: number;
}

type Limits = Pick<ClusterConfig, 'thresholds' | 'protocol'>;

export class CircuitBreaker {
  readonly #counts: Record<RoutePriority, Counts> = { default: { requests: 0, retries: 0, connections: 0 }, high: { requests: 0, retries: 0, connections: 0 } };
  readonly #stats: ClusterStats | undefined;
  /** Where they are shown: with every request, so nothing is looked up. */
  readonly #remaining: Partial<Record<RoutePriority, { readonly requests: Counter | undefined; readonly retries: Counter | undefined }>> = {};
  #thresholds: ClusterConfig['thresholds'];
  #queues: boolean;

  constructor(config: Limits, stats?: ClusterStats) {
    this.#stats = stats;
    this.#thresholds = config.thresholds;
    this.#queues = config.protocol !== 'http2';
    this.#show();
  }

  update(config: Limits): void {
    this.#thresholds = config.thresholds;
    this.#queues = config.protocol !== 'http2';
    this.#show();
  }

  /** Requests that run or wait. */
  active(priority: RoutePriority): number {
    return this.#counts[priority].requests;
  }

  /**
   * Whether one more request may start. On HTTP/1.1 a connection carries one request at a time, so what is above
   * max_connections waits, and max_pending_requests may wait.
   */
  allows(priority: RoutePriority): boolean {
    const allowed = this.#counts[priority].requests < this.#most(priority);
    if (!allowed) this.#stats?.count('upstream_rq_pending_overflow');
    return allowed;
  }

  allowsConnection(priority: RoutePriority): boolean {
    return this.#counts[priority].connections < this.#thresholds[priority].maxConnections;
  }

  beginConnection(priority: RoutePriority): void {
    this.#counts[priority].connections++;
  }

  endConnection(priority: RoutePriority): void {
    this.#counts[priority].connections--;
  }

  begin(priority: RoutePriority): void {
    const requests = ++this.#counts[priority].requests;
    if (requests === this.#most(priority)) this.#stats?.gauge(`circuit_breakers_${priority}_rq_open`, 1);
    if (this.#thresholds[priority].trackRemaining) this.#showRemaining(priority);
  }

  end(priority: RoutePriority): void {
    const requests = --this.#counts[priority].requests;
    if (requests === this.#most(priority) - 1) this.#stats?.gauge(`circuit_breakers_${priority}_rq_open`, 0);
    if (this.#thresholds[priority].trackRemaining) this.#showRemaining(priority);
  }

  /** False: overflow, nothing taken. */
  beginRetry(priority: RoutePriority): boolean {
    const counts = this.#counts[priority];
    if (counts.retries >= maxRetries(this.#thresholds[priority], counts.requests)) {
      this.#stats?.count('upstream_rq_retry_overflow');
      return false;
    }
    counts.retries++;
    if (this.#thresholds[priority].trackRemaining) this.#showRemaining(priority);
    return true;
  }

  endRetry(priority: RoutePriority): void {
    this.#counts[priority].retries--;
    if (this.#thresholds[priority].trackRemaining) this.#showRemaining(priority);
  }

  /** So many requests may run or wait. */
  #most(priority: RoutePriority): number {
    const { maxRequests, maxConnections, maxPendingRequests } = this.#thresholds[priority];
    return this.#queues ? Math.min(maxRequests, maxConnections + maxPendingRequests) : maxRequests;
  }

  #show(): void {
    if (!this.#stats) return;
    for (const priority of ['default', 'high'] as const) {
      this.#stats.gauge(`circuit_breakers_${priority}_rq_open`, this.#counts[priority].requests >= this.#most(priority) ? 1 : 0);
      if (this.#thresholds[priority].trackRemaining) this.#showRemaining(priority);
    }
  }

  #showRemaining(priority: RoutePriority): void {
    const { requests, retries } = this.#counts[priority];
    const shown = (this.#remaining[priority] ??= {
      requests: this.#stats?.of('gauge', `circuit_breakers_${priority}_remaining_rq`),
      retries: this.#stats?.of('gauge', `circuit_breakers_${priority}_remaining_retries`),
    });
    shown.requests?.set(Math.max(0, this.#most(priority) - requests));
    shown.retries?.set(Math.max(0, maxRetries(this.#thresholds[priority], requests) - retries));
  }
}

/** A retry budget replaces max_retries: a share of the requests that run, but never below a minimum. */
function maxRetries({ maxRetries: fixed, retryBudget }: ThresholdsConfig, active: number): number {
  return retryBudget ? Math.max(retryBudget.minConcurrency, Math.floor((retryBudget.percent / 100) * active)) : fixed;
}
