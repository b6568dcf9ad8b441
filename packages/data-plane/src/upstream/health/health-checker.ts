// Active health checks of a cluster: a session for each of its hosts. Hosts are unhealthy until they pass for the first time.
import type { Clock } from '@weft/spiffe';
import type { HealthCheckConfig } from '../../resource/cluster-config.js';
import type { Logger } from '../../telemetry/logger.js';
import type { ClusterStats } from '../cluster-stats.js';
import type { Host } from '../host.js';
import type { HealthProber, ProbeResult } from './health-probe.js';
import { HealthSession, type HealthTransition } from './health-session.js';

export interface HealthCheckerOptions {
  readonly clusterName: string;
  readonly config: HealthCheckConfig;
  /** `ignore_new_hosts_until_first_hc`. */
  readonly ignoreNewHosts: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly prober: HealthProber;
  readonly stats: ClusterStats;
  random(): number;
  hadTraffic(): boolean;
  /** A check ended; `changed`: the host's health is another. */
  onResult(host: Host, healthy: boolean, changed: boolean): void;
  /** All hosts of the first `sync` were asked once. */
  onFirstRound(): void;
}

export class HealthChecker {
  readonly #options: HealthCheckerOptions;
  readonly #sessions = new Map<Host, { session: HealthSession; at: string }>();
  /** Hosts whose first answer is waited for; undefined before the first `sync`. */
  #waiting: Set<Host> | undefined;

  constructor(options: HealthCheckerOptions) {
    this.#options = options;
  }

  /** Whether every host of the first `sync` was asked. */
  get settled(): boolean {
    return this.#waiting?.size === 0;
  }

  /** Hosts that are new here are unhealthy from now on, unless `known`: those keep the health they had. */
  sync(hosts: readonly Host[], known: (host: Host) => boolean): void {
    const checked = new Set(hosts.filter((host) => host.config.healthCheck?.disabled !== true));
    for (const [host, { session }] of this.#sessions) {
      if (checked.has(host) && this.#sessions.get(host)?.at === where(host)) continue;
      session.close();
      this.#sessions.delete(host);
      if (!checked.has(host)) {
        host.checkFailed = host.checkDegraded = host.checkPending = false;
        this.#waiting?.delete(host);
      }
    }
    const fresh = [...checked].filter((host) => !this.#sessions.has(host));
    for (const host of fresh) {
      if (known(host)) continue;
      host.checkFailed = true;
      host.checkPending = this.#options.ignoreNewHosts;
    }
    this.#waiting ??= new Set(fresh);
    for (const host of fresh) this.#start(host);
  }

  /** `keepHealth`: another checker takes over. */
  close({ keepHealth }: { keepHealth: boolean }): void {
    for (const [host, { session }] of this.#sessions) {
      session.close();
      host.checkPending = false;
      if (!keepHealth) host.checkFailed = host.checkDegraded = false;
    }
    this.#sessions.clear();
  }

  #start(host: Host): void {
    const { config, prober, clock, random, hadTraffic } = this.#options;
    const session = new HealthSession(host, prober.probe(config, host), { config, clock, random, hadTraffic, onResult: (...result) => this.#onResult(...result) });
    this.#sessions.set(host, { session, at: where(host) });
  }

  #onResult(host: Host, result: ProbeResult, transition: HealthTransition, first: boolean): void {
    this.#log(host, result, transition, first);
    const { stats } = this.#options;
    stats.count('health_check_attempt');
    stats.count(result.healthy ? 'health_check_success' : 'health_check_failure');
    if (!result.healthy && result.network) stats.count('health_check_network_failure');
    stats.gauge('health_check_healthy', [...this.#sessions.keys()].filter((checked) => !checked.checkFailed).length);
    this.#options.onResult(host, result.healthy, transition === 'changed');
    if (this.#waiting?.delete(host) && this.#waiting.size === 0) this.#options.onFirstRound();
  }

  /** Envoy's events, as lines of the log. */
  #log(host: Host, result: ProbeResult, transition: HealthTransition, first: boolean): void {
    const { logger, clusterName, config } = this.#options;
    const fields = { cluster: clusterName, host: host.key, ...(!result.healthy && { reason: result.reason }), ...(first && { firstCheck: true }) };
    if (transition === 'changed') {
      if (!result.healthy) logger.warn(fields, 'host is unhealthy by its health check');
      else logger.info(fields, result.degraded ? 'host is degraded by its health check' : 'host is healthy by its health check');
    } else if (!result.healthy && (first || config.logFailures)) logger.warn(fields, 'health check failed');
    else if (result.healthy && config.logSuccesses) logger.info(fields, 'health check passed');
  }
}

/** What a session is made for; another address needs another one. */
function where({ config: { healthCheck } }: Host): string {
  return healthCheck ? `${healthCheck.address ?? ''} ${healthCheck.port ?? ''} ${healthCheck.hostname ?? ''}` : '';
}
