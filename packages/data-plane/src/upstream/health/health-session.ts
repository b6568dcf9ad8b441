// The health checks of one host: when it is asked, and which answers change its health (Envoy's health_checker_base_impl.cc).
import type { Clock, Timer } from '@weft/spiffe';
import type { HealthCheckConfig } from '../../resource/cluster-config.js';
import type { Host } from '../host.js';
import type { HealthProbe, ProbeResult } from './health-probe.js';

/** `pending`: the check differs from the host's health, but a threshold is not reached yet. */
export type HealthTransition = 'unchanged' | 'pending' | 'changed';

export interface SessionOptions {
  readonly config: HealthCheckConfig;
  readonly clock: Clock;
  random(): number;
  /** Whether the cluster was ever sent a request. */
  hadTraffic(): boolean;
  onResult(host: Host, result: ProbeResult, transition: HealthTransition, first: boolean): void;
}

export class HealthSession {
  readonly #host: Host;
  readonly #probe: HealthProbe;
  readonly #options: SessionOptions;
  #first = true;
  #successes = 0;
  #failures = 0;
  #next: Timer | undefined;
  #timeout: Timer | undefined;
  #giveUp: (() => void) | undefined;
  #closed = false;

  constructor(host: Host, probe: HealthProbe, options: SessionOptions) {
    this.#host = host;
    this.#probe = probe;
    this.#options = options;
    const { initialJitterMs } = options.config;
    if (initialJitterMs > 0) this.#next = options.clock.setTimeout(() => this.#ask(), Math.floor(options.random() * initialJitterMs));
    else this.#ask();
  }

  close(): void {
    this.#closed = true;
    this.#next?.cancel();
    this.#timeout?.cancel();
    this.#giveUp?.();
    this.#probe.close();
  }

  #ask(): void {
    const { clock, config } = this.#options;
    this.#timeout = clock.setTimeout(() => {
      this.#giveUp?.();
      this.#answered({ healthy: false, network: true, retriable: false, reason: `no answer in ${config.timeoutMs} ms` });
    }, config.timeoutMs);
    this.#giveUp = this.#probe.run((result) => this.#answered(result));
  }

  #answered(result: ProbeResult): void {
    this.#timeout?.cancel();
    this.#giveUp = undefined;
    const first = this.#first;
    this.#first = false;
    let transition = result.healthy ? this.#passed(result.degraded, first) : this.#failed(result);
    if (this.#host.checkPending) {
      this.#host.checkPending = false;
      transition = 'changed';
    }
    this.#options.onResult(this.#host, result, transition, first);
    // What was told may have taken the host out.
    if (!this.#closed) this.#next = this.#options.clock.setTimeout(() => this.#ask(), this.#interval(result.healthy, transition));
  }

  #passed(degraded: boolean, first: boolean): HealthTransition {
    const host = this.#host;
    this.#failures = 0;
    let transition: HealthTransition = 'unchanged';
    if (host.checkFailed) {
      // The first answer counts at once, so that a process does not wait for its hosts longer than it must.
      if (first || ++this.#successes >= this.#options.config.healthyThreshold) {
        host.checkFailed = false;
        transition = 'changed';
      } else transition = 'pending';
    }
    if (host.checkDegraded !== degraded) {
      host.checkDegraded = degraded;
      if (transition === 'unchanged') transition = 'changed';
    }
    return transition;
  }

  /** An answer that says "not well" counts at once; only what may be the network's fault has a threshold. */
  #failed({ network, retriable }: { network: boolean; retriable: boolean }): HealthTransition {
    this.#successes = 0;
    if (this.#host.checkFailed) return 'unchanged';
    this.#failures++;
    if ((network || retriable) && this.#failures < this.#options.config.unhealthyThreshold) return 'pending';
    this.#host.checkFailed = true;
    return 'changed';
  }

  #interval(healthy: boolean, transition: HealthTransition): number {
    const { config, random } = this.#options;
    const pending = transition === 'pending';
    let ms: number;
    if (!this.#options.hadTraffic()) ms = healthy && !pending ? config.noTrafficHealthyIntervalMs : config.noTrafficIntervalMs;
    else if (healthy) ms = pending ? config.healthyEdgeIntervalMs : config.intervalMs;
    else ms = pending ? config.unhealthyEdgeIntervalMs : config.unhealthyIntervalMs;
    ms += Math.floor(random() * ((config.intervalJitterPercent * ms) / 100));
    return ms + Math.floor(random() * config.intervalJitterMs);
  }
}
