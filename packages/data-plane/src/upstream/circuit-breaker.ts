// Envoy's circuit breakers: limits on what one cluster may have going at a time, by route priority.
import type { ClusterConfig, ThresholdsConfig } from '../resource/cluster-config.js';
import type { RoutePriority } from './upstream-cluster.js';

interface Counts {
  requests: number;
  retries: number;
}

export class CircuitBreaker {
  readonly #counts: Record<RoutePriority, Counts> = { default: { requests: 0, retries: 0 }, high: { requests: 0, retries: 0 } };
  #thresholds: ClusterConfig['thresholds'];
  #queues: boolean;

  constructor(config: Pick<ClusterConfig, 'thresholds' | 'protocol'>) {
    this.#thresholds = config.thresholds;
    this.#queues = config.protocol !== 'http2';
  }

  update(config: Pick<ClusterConfig, 'thresholds' | 'protocol'>): void {
    this.#thresholds = config.thresholds;
    this.#queues = config.protocol !== 'http2';
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
    const { requests } = this.#counts[priority];
    const limits = this.#thresholds[priority];
    return requests < limits.maxRequests && (!this.#queues || requests < limits.maxConnections + limits.maxPendingRequests);
  }

  begin(priority: RoutePriority): void {
    this.#counts[priority].requests++;
  }

  end(priority: RoutePriority): void {
    this.#counts[priority].requests--;
  }

  /** False: overflow, nothing taken. */
  beginRetry(priority: RoutePriority): boolean {
    const counts = this.#counts[priority];
    if (counts.retries >= maxRetries(this.#thresholds[priority], counts.requests)) return false;
    counts.retries++;
    return true;
  }

  endRetry(priority: RoutePriority): void {
    this.#counts[priority].retries--;
  }
}

/** A retry budget replaces max_retries: a share of the requests that run, but never below a minimum. */
function maxRetries({ maxRetries: fixed, retryBudget }: ThresholdsConfig, active: number): number {
  return retryBudget ? Math.max(retryBudget.minConcurrency, Math.floor((retryBudget.percent / 100) * active)) : fixed;
}
