// How busy this process is, as its callers' balancers want to know it (ORCA load reports). Measured when a report is asked for, at most a
// few times a second, so that it costs a request next to nothing and an idle process nothing.
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { encodeLoadReport, type LoadMetrics } from './load-report-encoding.js';

/** Who is told: callers that show an identity of the mesh or say who they are in it (and gRPC callers, whose balancers ask for it), everybody, nobody. */
export type LoadReportAudience = 'mesh' | 'all' | 'none';

export interface LoadRecorderOptions {
  /** Default `mesh`. */
  audience?: LoadReportAudience;
  /** Milliseconds. */
  now?: () => number;
  /** Share of the time since the last call that the event loop was busy, and CPU time used meanwhile, ms. */
  measure?: () => { eventLoop: number; cpuMs: number };
}

/** A sample holds for so long. */
const sampleMs = 250;
/** Rates and utilisation are means over about this time: a single slow request must not make a host look full. */
const smoothingMs = 1000;

export class LoadRecorder {
  readonly audience: LoadReportAudience;
  readonly #now: () => number;
  readonly #measure: () => { eventLoop: number; cpuMs: number };
  readonly #cpus = availableParallelism();
  #sampledAt: number;
  #loop = 0;
  #requests = 0;
  #errors = 0;
  #metrics: LoadMetrics = { cpuUtilization: 0, applicationUtilization: 0, rps: 0, eps: 0, utilization: {}, named: {} };
  #own: { application?: number; utilization: Record<string, number>; named: Record<string, number> } = { utilization: {}, named: {} };
  #encoded: { text: string; binary: string } | undefined;

  constructor({ audience = 'mesh', now = () => performance.now(), measure = processMeasure() }: LoadRecorderOptions = {}) {
    this.audience = audience;
    this.#now = now;
    this.#measure = measure;
    this.#sampledAt = now();
  }

  /** A request ended; failed: with a 5xx, or the gRPC status of one. */
  record(failed: boolean): void {
    this.#requests++;
    if (failed) this.#errors++;
  }

  /** `application_utilization` instead of the event loop's; above 1 is overload. Undefined: the event loop's again. */
  setApplicationUtilization(value: number | undefined): void {
    if (value === undefined) delete this.#own.application;
    else this.#own.application = checked('application utilization', value);
    this.#changed();
  }

  /** `utilization[name]`, 0 to 1. Undefined takes it away. */
  setUtilization(name: string, value: number | undefined): void {
    if (value !== undefined && checked(name, value) > 1) throw new RangeError(`utilization ${name} must be 0 to 1, is ${value}`);
    this.#set(this.#own.utilization, name, value);
  }

  /** `named_metrics[name]`: whatever balancers are configured to look at. Undefined takes it away. */
  setNamedMetric(name: string, value: number | undefined): void {
    if (value !== undefined) checked(name, value);
    this.#set(this.#own.named, name, value);
  }

  /** As it is now. */
  get metrics(): LoadMetrics {
    this.#sample();
    return this.#metrics;
  }

  /** Value of `endpoint-load-metrics`. */
  get text(): string {
    return this.#current().text;
  }

  /** The encoded message in base64: value of `endpoint-load-metrics-bin`. */
  get binary(): string {
    return this.#current().binary;
  }

  #current(): { text: string; binary: string } {
    this.#sample();
    return (this.#encoded ??= { text: textOf(this.#metrics), binary: Buffer.from(encodeLoadReport(this.#metrics)).toString('base64') });
  }

  #set(metrics: Record<string, number>, name: string, value: number | undefined): void {
    if (!/^[\w.\-/]{1,100}$/.test(name)) throw new TypeError(`the name of a metric has letters, digits and _ . - / only: ${JSON.stringify(name)}`);
    if (value === undefined) delete metrics[name];
    else metrics[name] = value;
    this.#changed();
  }

  #changed(): void {
    this.#sampledAt = Math.min(this.#sampledAt, this.#now() - sampleMs);
  }

  #sample(): void {
    const now = this.#now();
    const elapsed = now - this.#sampledAt;
    if (elapsed < sampleMs) return;
    const { eventLoop, cpuMs } = this.#measure();
    const fresh = 1 - Math.exp(-elapsed / smoothingMs);
    const mean = (before: number, value: number) => before + (value - before) * fresh;
    const { cpuUtilization, rps, eps } = this.#metrics;
    this.#loop = mean(this.#loop, eventLoop);
    this.#metrics = {
      cpuUtilization: mean(cpuUtilization, cpuMs / elapsed / this.#cpus),
      applicationUtilization: this.#own.application ?? this.#loop,
      rps: mean(rps, (1000 * this.#requests) / elapsed),
      eps: mean(eps, (1000 * this.#errors) / elapsed),
      utilization: { ...this.#own.utilization },
      named: { ...this.#own.named },
    };
    this.#sampledAt = now;
    this.#requests = 0;
    this.#errors = 0;
    this.#encoded = undefined;
  }
}

function textOf({ cpuUtilization, applicationUtilization, rps, eps, utilization, named }: LoadMetrics): string {
  const parts = [`application_utilization=${short(applicationUtilization)}`, `cpu_utilization=${short(cpuUtilization)}`, `rps_fractional=${short(rps)}`, `eps=${short(eps)}`];
  for (const [name, value] of Object.entries(named)) parts.push(`named_metrics.${name}=${short(value)}`);
  // Envoy's text form has no `utilization`: one name it does not know, and it drops the whole report.
  for (const [name, value] of Object.entries(utilization)) parts.push(`named_metrics.${name}=${short(value)}`);
  return `TEXT ${parts.join(',')}`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function checked(name: string, value: number): number {
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`${name} must be a number of 0 or more, is ${value}`);
  return value;
}

function processMeasure(): () => { eventLoop: number; cpuMs: number } {
  let loop = performance.eventLoopUtilization();
  let cpu = process.cpuUsage();
  return () => {
    const now = performance.eventLoopUtilization();
    const eventLoop = performance.eventLoopUtilization(now, loop).utilization;
    loop = now;
    const used = process.cpuUsage();
    const cpuMs = (used.user - cpu.user + used.system - cpu.system) / 1000;
    cpu = used;
    return { eventLoop, cpuMs };
  };
}
