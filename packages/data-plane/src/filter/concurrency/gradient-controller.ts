// Envoy's gradient controller (source/extensions/filters/http/adaptive_concurrency/controller/gradient_controller.cc): a concurrency
// limit that grows while latency stays near the smallest that was measured, and shrinks when it leaves it.

export interface GradientOptions {
  /** Of the samples of one window; 0 to 1. Default 0.5. */
  readonly percentile: number;
  /** Default 1000. */
  readonly maxLimit: number;
  readonly updateIntervalMs: number;
  readonly minRttIntervalMs: number;
  /** Requests that one measurement of the smallest latency takes. Default 50. */
  readonly minRttRequests: number;
  /** Part of the interval by which a measurement may be put off by chance, 0 to 1. Default 0.15. */
  readonly minRttJitter: number;
  /** Limit while the smallest latency is measured, and the lowest there is. Default 3. */
  readonly minLimit: number;
  /** Part of the smallest latency by which others may be above it. Default 0.25. */
  readonly buffer: number;
}

export interface GradientContext {
  /** Milliseconds, with fractions. */
  now(): number;
  setTimeout(run: () => void, ms: number): { cancel(): void };
  random(): number;
}

/** After so many windows at the lowest limit the smallest latency is measured anew: it has probably become larger. */
const windowsAtMinimum = 5;

export class GradientController {
  readonly #options: GradientOptions;
  readonly #context: GradientContext;
  #limit: number;
  /** Put back when the measurement is over. */
  #deferredLimit = 0;
  #measuring = true;
  #measuringSince: number;
  #minRtt = 0;
  #running = 0;
  #samples: number[] = [];
  #atMinimum = 0;
  #windowTimer: { cancel(): void } | undefined;
  #measureTimer: { cancel(): void } | undefined;
  #closed = false;

  constructor(options: GradientOptions, context: GradientContext) {
    this.#options = options;
    this.#context = context;
    this.#limit = options.minLimit;
    this.#measuringSince = context.now();
    this.#deferredLimit = options.minLimit;
  }

  get limit(): number {
    return this.#limit;
  }

  get minRttMs(): number {
    return this.#minRtt;
  }

  /** False: the limit is reached. Each true is followed by one `end`. */
  begin(): boolean {
    if (this.#running >= this.#limit) return false;
    this.#running++;
    return true;
  }

  /** `latencyMs` undefined: it did not end by itself. */
  end(latencyMs: number | undefined): void {
    this.#running--;
    if (latencyMs === undefined || this.#closed) return;
    // Requests from before the limit was lowered still saw the load that was.
    if (this.#measuring && this.#context.now() - latencyMs < this.#measuringSince) return;
    this.#samples.push(latencyMs);
    if (this.#measuring && this.#samples.length >= this.#options.minRttRequests) this.#measured();
  }

  close(): void {
    this.#closed = true;
    this.#windowTimer?.cancel();
    this.#measureTimer?.cancel();
  }

  #measured(): void {
    this.#minRtt = this.#takePercentile();
    this.#measuring = false;
    this.#limit = this.#deferredLimit;
    const { minRttIntervalMs, minRttJitter, updateIntervalMs } = this.#options;
    this.#measureTimer = this.#context.setTimeout(() => this.#measure(), minRttIntervalMs + Math.floor(this.#context.random() * minRttIntervalMs * minRttJitter));
    this.#windowTimer = this.#context.setTimeout(() => this.#window(), updateIntervalMs);
  }

  #measure(): void {
    this.#windowTimer?.cancel();
    this.#measureTimer?.cancel();
    this.#measuring = true;
    this.#measuringSince = this.#context.now();
    this.#deferredLimit = this.#limit;
    this.#limit = this.#options.minLimit;
    this.#samples = [];
    this.#atMinimum = 0;
  }

  #window(): void {
    const { minLimit, updateIntervalMs } = this.#options;
    if (this.#samples.length > 0) {
      const before = this.#limit;
      this.#limit = this.#next(this.#takePercentile());
      this.#atMinimum = before === minLimit && this.#limit === minLimit ? this.#atMinimum + 1 : 0;
      if (this.#atMinimum >= windowsAtMinimum) return this.#measure();
    }
    this.#windowTimer = this.#context.setTimeout(() => this.#window(), updateIntervalMs);
  }

  #next(sampleRtt: number): number {
    const { buffer, minLimit, maxLimit } = this.#options;
    const gradient = Math.min(2, Math.max(0.5, (this.#minRtt * (1 + buffer)) / sampleRtt));
    const limit = this.#limit * gradient;
    // Room to grow: without it a limit that fits exactly would never be left.
    return Math.max(minLimit, Math.min(maxLimit, Math.floor(limit + Math.sqrt(limit))));
  }

  #takePercentile(): number {
    const sorted = this.#samples.sort((a, b) => a - b);
    this.#samples = [];
    return sorted[Math.max(0, Math.ceil(this.#options.percentile * sorted.length) - 1)] as number;
  }
}
