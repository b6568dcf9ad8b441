// Passive health: takes hosts that fail out of balancing for a while (Envoy's outlier detection).
import type { Clock, Timer } from '@weft/spiffe';
import type { OutlierDetectionConfig } from '../resource/cluster-config.js';
import { httpStatusOfGrpc } from '../stream/grpc-http-status.js';
import type { Logger } from '../telemetry/logger.js';
import type { ClusterStats } from './cluster-stats.js';
import type { Host } from './host.js';
import { consecutive } from './outlier/consecutive.js';
import type { AttemptResult, OutlierCriterion } from './outlier/outlier-criterion.js';
import { failurePercentage, successRate } from './outlier/success-rate.js';
import type { AttemptOutcome } from './upstream-cluster.js';

/** Envoy's defaults. */
const defaults: Required<OutlierDetectionConfig> = {
  intervalMs: 10_000,
  baseEjectionTimeMs: 30_000,
  maxEjectionTimeMs: 300_000,
  maxEjectionTimeJitterMs: 0,
  maxEjectionPercent: 10,
  alwaysEjectOneHost: false,
  successfulActiveHealthCheckUnejectHost: true,
  splitExternalLocalOriginErrors: false,
  consecutive5xx: 5,
  enforcingConsecutive5xx: 100,
  consecutiveGatewayFailure: 5,
  enforcingConsecutiveGatewayFailure: 0,
  consecutiveLocalOriginFailure: 5,
  enforcingConsecutiveLocalOriginFailure: 100,
  enforcingSuccessRate: 100,
  enforcingLocalOriginSuccessRate: 100,
  successRateMinimumHosts: 5,
  successRateRequestVolume: 100,
  successRateStdevFactor: 1900,
  failurePercentageThreshold: 85,
  enforcingFailurePercentage: 0,
  enforcingFailurePercentageLocalOrigin: 0,
  failurePercentageMinimumHosts: 5,
  failurePercentageRequestVolume: 50,
};

interface Ejection {
  multiplier: number;
  /** While ejected: when it may come back. */
  until: number;
}

export interface OutlierDetectorOptions {
  clusterName: string;
  config: OutlierDetectionConfig;
  stats: ClusterStats;
  clock: Clock;
  random(): number;
  logger: Logger;
  /** All hosts of the cluster, of all priorities. */
  hosts(): readonly Host[];
  /** `host.ejected` of some hosts changed. */
  onChange(hosts: readonly Host[]): void;
}

export class OutlierDetector {
  readonly #options: OutlierDetectorOptions;
  readonly #config: Required<OutlierDetectionConfig>;
  readonly #criteria: readonly OutlierCriterion[];
  readonly #ejections = new WeakMap<Host, Ejection>();
  #timer: Timer | undefined;

  constructor(options: OutlierDetectorOptions) {
    this.#options = options;
    this.#config = { ...defaults, ...options.config };
    this.#criteria = criteria(this.#config);
    this.#schedule();
  }

  /** An attempt ended. Attempts that the caller cancelled say nothing about the host. */
  record(host: Host, outcome: AttemptOutcome): void {
    for (const result of resultsOf(outcome)) {
      for (const criterion of this.#criteria) {
        if (criterion.onResult(host, result) && this.#eject(host, criterion)) this.#options.onChange([host]);
      }
    }
  }

  /** An active health check found the host well. */
  healthCheckPassed(host: Host): void {
    if (!host.ejected || !this.#config.successfulActiveHealthCheckUnejectHost) return;
    this.#uneject(host, 'host returned after ejection: it passed a health check');
    this.#options.onChange([host]);
  }

  /** Lets every host back; used when outlier detection is switched off. */
  close(): void {
    this.#timer?.cancel();
    const ejected = this.#options.hosts().filter((host) => host.ejected);
    for (const host of ejected) host.ejected = false;
    this.#showActive();
    if (ejected.length > 0) this.#options.onChange(ejected);
  }

  #schedule(): void {
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#tick();
      this.#schedule();
    }, this.#config.intervalMs);
  }

  #tick(): void {
    const changed = new Set<Host>();
    for (const host of this.#options.hosts()) if (this.#unejectIfDue(host)) changed.add(host);
    for (const criterion of this.#criteria) {
      const hosts = this.#options.hosts().filter((host) => !host.ejected);
      for (const host of criterion.onInterval?.(hosts) ?? []) if (this.#eject(host, criterion)) changed.add(host);
    }
    if (changed.size > 0) this.#options.onChange([...changed]);
  }

  #unejectIfDue(host: Host): boolean {
    const ejection = this.#ejections.get(host);
    if (!host.ejected) {
      // An interval without ejection makes the next one shorter again.
      if (ejection && ejection.multiplier > 0) ejection.multiplier--;
      return false;
    }
    if (ejection && ejection.until > this.#options.clock.now()) return false;
    this.#uneject(host, 'host returned after ejection');
    return true;
  }

  #uneject(host: Host, message: string): void {
    host.ejected = false;
    this.#showActive();
    for (const criterion of this.#criteria) criterion.reset(host);
    this.#options.logger.info({ cluster: this.#options.clusterName, host: host.key }, message);
  }

  #eject(host: Host, criterion: OutlierCriterion): boolean {
    const { baseEjectionTimeMs, maxEjectionTimeMs, maxEjectionTimeJitterMs } = this.#config;
    if (host.ejected || host.removed) return false;
    const { stats } = this.#options;
    stats.count(`outlier_detection_ejections_detected_${criterion.name}`);
    if (!this.#mayEject()) {
      stats.count('outlier_detection_ejections_overflow');
      return false;
    }
    if (Math.floor(this.#options.random() * 100) >= criterion.enforcing) return false;
    stats.count(`outlier_detection_ejections_enforced_${criterion.name}`);
    stats.count('outlier_detection_ejections_enforced_total');
    let ejection = this.#ejections.get(host);
    if (!ejection) this.#ejections.set(host, (ejection = { multiplier: 0, until: 0 }));
    if (ejection.multiplier * baseEjectionTimeMs < maxEjectionTimeMs + baseEjectionTimeMs) ejection.multiplier++;
    const duration = Math.min(ejection.multiplier * baseEjectionTimeMs, Math.max(baseEjectionTimeMs, maxEjectionTimeMs));
    ejection.until = this.#options.clock.now() + duration + Math.floor(this.#options.random() * (maxEjectionTimeJitterMs + 1));
    host.ejected = true;
    this.#showActive();
    this.#options.logger.warn({ cluster: this.#options.clusterName, host: host.key, reason: criterion.name, forMs: duration }, 'host ejected');
    return true;
  }

  #showActive(): void {
    this.#options.stats.gauge('outlier_detection_ejections_active', this.#options.hosts().filter((host) => host.ejected).length);
  }

  /** Counted over all priorities. With Envoy's default of 10 % nothing is ejected below ten hosts unless one always may be. */
  #mayEject(): boolean {
    const hosts = this.#options.hosts();
    const ejected = hosts.filter((host) => host.ejected).length;
    if (ejected === 0 && this.#config.alwaysEjectOneHost) return true;
    return (100 * (ejected + 1)) / hosts.length <= this.#config.maxEjectionPercent;
  }
}

function criteria(config: Required<OutlierDetectionConfig>): OutlierCriterion[] {
  const split = config.splitExternalLocalOriginErrors;
  // Without the split local errors count as the 503 and 504 they would become.
  const external = (isFailure: (status: number) => boolean) => (result: AttemptResult) => (split && result.localOrigin ? undefined : isFailure(result.status) ? 'failure' : 'success');
  const local = (result: AttemptResult) => (result.localOrigin ? 'failure' : 'success');
  const is5xx = external((status) => status >= 500);
  const isGatewayFailure = external((status) => status >= 502 && status <= 504);
  const rate = { minimumHosts: config.successRateMinimumHosts, requestVolume: config.successRateRequestVolume, stdevFactor: config.successRateStdevFactor };
  const failures = { minimumHosts: config.failurePercentageMinimumHosts, requestVolume: config.failurePercentageRequestVolume, threshold: config.failurePercentageThreshold };
  const all: OutlierCriterion[] = [
    consecutive({ name: 'consecutive_5xx', threshold: config.consecutive5xx, enforcing: config.enforcingConsecutive5xx, judge: is5xx }),
    consecutive({ name: 'consecutive_gateway_failure', threshold: config.consecutiveGatewayFailure, enforcing: config.enforcingConsecutiveGatewayFailure, judge: isGatewayFailure }),
    successRate({ name: 'success_rate', enforcing: config.enforcingSuccessRate, judge: is5xx, ...rate }),
    failurePercentage({ name: 'failure_percentage', enforcing: config.enforcingFailurePercentage, judge: is5xx, ...failures }),
  ];
  if (split) {
    all.push(
      consecutive({ name: 'consecutive_local_origin_failure', threshold: config.consecutiveLocalOriginFailure, enforcing: config.enforcingConsecutiveLocalOriginFailure, judge: local }),
      successRate({ name: 'local_origin_success_rate', enforcing: config.enforcingLocalOriginSuccessRate, judge: local, ...rate }),
      failurePercentage({ name: 'local_origin_failure_percentage', enforcing: config.enforcingFailurePercentageLocalOrigin, judge: local, ...failures }),
    );
  }
  // What is not enforced is only worth counting where that is cheap.
  return all.filter(({ enforcing, onInterval }) => enforcing > 0 || onInterval === undefined);
}

/** What Envoy hears of an attempt: its head, and that it broke off. Trailers behind a body tell nothing. */
function resultsOf({ status, grpcStatus, trailersOnly, failure }: AttemptOutcome): readonly AttemptResult[] {
  const head = trailersOnly && grpcStatus !== undefined ? httpStatusOfGrpc(grpcStatus) : status;
  if (failure === undefined) return head === undefined ? none : [{ status: head, localOrigin: false }];
  const broken = { status: failure === 'per-try-timeout' ? 504 : 503, localOrigin: true };
  return head === undefined ? [broken] : [{ status: head, localOrigin: false }, broken];
}

const none: readonly AttemptResult[] = [];
