// Weights from what hosts say of their own load (ORCA, gRFC A58): requests a second by utilisation. Hosts that say nothing, or have
// only begun to, get the median of the others.
import { ClientSideWeightedRoundRobinSchema } from '@weft/xds-api/load-balancing';
import type { ResponseHead } from '../../stream/response-head.js';
import type { Host } from '../../upstream/host.js';
import { startedEdf } from '../edf-scheduler.js';
import type { AttemptTracker, HeaderLookup, LoadBalancerFactory, LoadReport, LoadTracker, TrackerContext } from '../load-balancer.js';
import { decodeLoadReport, readLoadReport } from '../load-report.js';
import { startedRotation } from '../weighted-rotation.js';
import { positiveMs, readMessage } from './read-message.js';
import { knownFields } from '../../resource/report.js';
import { parseSlowStart, SlowStart, type SlowStartConfig } from './slow-start.js';

const fields = knownFields(ClientSideWeightedRoundRobinSchema, ['enable_oob_load_report', 'oob_reporting_period', 'blackout_period', 'weight_expiration_period', 'weight_update_period', 'error_utilization_penalty', 'metric_names_for_computing_utilization', 'slow_start_config']);

export interface WeightedRoundRobinConfig {
  /** Undefined: reports come with responses. */
  oobPeriodMs?: number;
  blackoutMs: number;
  expirationMs: number;
  updateMs: number;
  errorPenalty: number;
  /** The largest of them is the utilisation, where there is one: `named_metrics.x`, `utilization.x`, or a field of the report. */
  metricNames: readonly string[];
  slowStart?: SlowStartConfig;
}

interface Reported {
  weight: number;
  /** When reports began to come without a gap. */
  since: number;
  at: number;
}

class ReportedWeights implements LoadTracker {
  readonly #config: WeightedRoundRobinConfig;
  readonly #context: TrackerContext;
  readonly #reports = new WeakMap<Host, Reported>();
  #weights = new Map<Host, number>();
  /** Of hosts that have just come. */
  #others = 1;
  #timer: { cancel(): void };
  readonly #outOfBand = new Map<Host, { close(): void }>();

  constructor(config: WeightedRoundRobinConfig, context: TrackerContext) {
    this.#config = config;
    this.#context = context;
    this.#timer = this.#schedule();
  }

  weightOf(host: Host): number {
    return this.#weights.get(host) ?? this.#others;
  }

  begin(host: Host): AttemptTracker {
    if (this.#config.oobPeriodMs !== undefined) return silent;
    let reported = false;
    const read = (headers: HeaderLookup) => {
      const report = reported ? undefined : readLoadReport(headers);
      if (!report) return;
      reported = true;
      this.#record(host, report);
    };
    return { head: ({ headers }: ResponseHead) => read(headers), trailers: read, end: () => undefined };
  }

  close(): void {
    this.#timer.cancel();
    for (const stream of this.#outOfBand.values()) stream.close();
    this.#outOfBand.clear();
  }

  #schedule(): { cancel(): void } {
    return this.#context.setTimeout(() => {
      this.#followHosts();
      if (this.#recalculate()) this.#context.changed();
      this.#timer = this.#schedule();
    }, this.#config.updateMs);
  }

  /** Out-of-band reports: one stream to every host. */
  #followHosts(): void {
    const { oobPeriodMs } = this.#config;
    const { loadReports } = this.#context;
    if (oobPeriodMs === undefined || !loadReports) return;
    const hosts = new Set(this.#context.hosts());
    for (const [host, stream] of this.#outOfBand) {
      if (hosts.has(host)) continue;
      stream.close();
      this.#outOfBand.delete(host);
    }
    for (const host of hosts) {
      if (!this.#outOfBand.has(host)) this.#outOfBand.set(host, loadReports(host, oobPeriodMs, (message) => this.#record(host, decodeLoadReport(message))));
    }
  }

  #record(host: Host, report: LoadReport | undefined): void {
    const weight = report && weightFrom(report, this.#config);
    if (weight === undefined) return;
    const now = this.#context.now();
    const known = this.#reports.get(host);
    if (!known) this.#reports.set(host, { weight, since: now, at: now });
    else {
      known.weight = weight;
      known.at = now;
    }
  }

  #recalculate(): boolean {
    const now = this.#context.now();
    const hosts = this.#context.hosts();
    const valid = new Map<Host, number>();
    for (const host of hosts) {
      const known = this.#reports.get(host);
      if (!known || now - known.since < this.#config.blackoutMs) continue;
      // Silent for too long: what comes next counts as a beginning.
      if (now - known.at > this.#config.expirationMs) this.#reports.delete(host);
      else valid.set(host, known.weight);
    }
    const others = median([...valid.values()]);
    const weights = new Map(hosts.map((host) => [host, valid.get(host) ?? others]));
    const changed = hosts.some((host) => weights.get(host) !== this.weightOf(host));
    this.#weights = weights;
    this.#others = others;
    return changed;
  }
}

const silent: AttemptTracker = { end: () => undefined };

/** Undefined: nothing can be said. Whole numbers up to 2^32 - 1, as Envoy's weights. */
export function weightFrom(report: LoadReport, { errorPenalty, metricNames }: Pick<WeightedRoundRobinConfig, 'errorPenalty' | 'metricNames'>): number | undefined {
  const { rps, eps } = report;
  if (!(rps > 0)) return undefined;
  const named = Math.max(0, ...metricNames.map((name) => report.metric(name) ?? 0));
  const utilization = (named > 0 ? named : report.applicationUtilization > 0 ? report.applicationUtilization : report.cpuUtilization) + (errorPenalty * eps) / rps;
  return utilization > 0 ? Math.floor(Math.min(rps / utilization, 2 ** 32 - 1)) : undefined;
}

function median(weights: number[]): number {
  if (weights.length === 0) return 1;
  weights.sort((a, b) => a - b);
  const middle = weights.length >> 1;
  return weights.length % 2 === 1 ? (weights[middle] as number) : Math.floor(((weights[middle - 1] as number) + (weights[middle] as number)) / 2);
}

export const clientSideWeightedRoundRobin: LoadBalancerFactory<WeightedRoundRobinConfig> = {
  name: 'envoy.load_balancing_policies.client_side_weighted_round_robin',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin',
  messages: [ClientSideWeightedRoundRobinSchema],
  parse(value) {
    const message = readMessage(ClientSideWeightedRoundRobinSchema, fields, value);
    const errorPenalty = message.errorUtilizationPenalty ?? 1;
    if (!(errorPenalty >= 0)) throw new Error(`error_utilization_penalty must not be negative, is ${errorPenalty}`);
    return {
      ...(message.enableOobLoadReport === true && { oobPeriodMs: positiveMs(message.oobReportingPeriod, 10_000, 'oob_reporting_period') }),
      blackoutMs: atLeastZeroMs(message.blackoutPeriod, 10_000),
      expirationMs: atLeastZeroMs(message.weightExpirationPeriod, 180_000),
      updateMs: Math.max(100, atLeastZeroMs(message.weightUpdatePeriod, 1000)),
      errorPenalty,
      metricNames: message.metricNamesForComputingUtilization,
      ...parseSlowStart(message.slowStartConfig),
    };
  },
  createTracker: (config, context) => new ReportedWeights(config, context),
  create({ slowStart }, { random, now }, tracker) {
    const start = slowStart && new SlowStart(slowStart, now);
    const weights = tracker as ReportedWeights;
    // A host of weight 0 would never come.
    const weightOf = (host: Host) => Math.max(weights.weightOf(host), 1);
    let next = Math.floor(random() * 2 ** 31);
    return {
      update(hosts) {
        const starting = start?.concerns(hosts) ? start : undefined;
        const first = hosts[0];
        if (!starting && (first === undefined || hosts.every((host) => weightOf(host) === weightOf(first)))) return { pick: () => hosts[next++ % hosts.length] };
        const scheduler = starting ? startedEdf(hosts, (host) => weightOf(host) * starting.factor(host), random) : startedRotation(hosts, weightOf, random);
        return { pick: () => scheduler.pick() };
      },
    };
  },
};

function atLeastZeroMs(duration: { seconds: bigint; nanos: number } | undefined, fallback: number): number {
  return duration ? Math.max(0, Number(duration.seconds) * 1000 + duration.nanos / 1e6) : fallback;
}
