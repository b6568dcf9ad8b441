// What one cluster counts, under the names that Envoy's Prometheus output has.
import type { Counter, Stats } from '../telemetry/stats.js';

const help: Readonly<Record<string, string>> = {
  upstream_rq_pending_overflow: 'Requests that a circuit breaker refused',
  upstream_rq_retry_overflow: 'Retries that a circuit breaker refused',
  outlier_detection_ejections_active: 'Hosts that are ejected now',
  outlier_detection_ejections_overflow: 'Ejections that max_ejection_percent did not let happen',
  outlier_detection_ejections_enforced_total: 'Ejections',
};

export class ClusterStats {
  readonly #stats: Stats | undefined;
  readonly #name: string;
  readonly #held = new Map<string, Counter>();

  /** Without `stats` nothing is counted. */
  constructor(stats: Stats | undefined, clusterName: string) {
    this.#stats = stats;
    this.#name = clusterName;
  }

  count(name: string): void {
    this.of('counter', name)?.add();
  }

  gauge(name: string, value: number): void {
    this.of('gauge', name)?.set(value);
  }

  /** To be held by what counts with every request. */
  of(type: 'counter' | 'gauge', name: string): Counter | undefined {
    if (!this.#stats) return undefined;
    let held = this.#held.get(name);
    if (!held) {
      const family = this.#stats[type]({ name: `envoy_cluster_${name}`, help: help[name] ?? `Envoy's cluster.${name}`, labels: ['envoy_cluster_name'] });
      this.#held.set(name, (held = family.series(this.#name)));
    }
    return held;
  }
}
