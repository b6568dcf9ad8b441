// How many requests may run at a time so that the slowest of a hundred stays under a threshold: the adaptive breaker's controller.
// docs/overload.md has its model and what it reaches in the simulation of adaptive-limit.test.ts.
import { LatencyHistogram } from './latency-histogram.js';

export interface AdaptiveLimitOptions {
  /** The 99th percentile of latency shall stay below, milliseconds. */
  readonly thresholdMs: number;
  /** Milliseconds of any clock. */
  now(): number;
  /** Default 1. */
  readonly minLimit?: number;
  /** Default 10 000. */
  readonly maxLimit?: number;
}

/** Part of the threshold that is aimed at: what is above it is for the chance of one second. */
const aim = 0.74;
/** Where it starts, and comes back to when little is asked: what a process may send at once before anything is known. */
const untried = 20;
const slowMs = 500;
/** Of the histogram, a slow step: it remembers some three seconds. */
const memory = 0.85;

/**
 * Two loops over one number. The slow one, twice a second, moves the limit by the 99th percentile of the last seconds: down where it is
 * above the aim, gently up where requests were refused. The fast one looks at the mean of a few milliseconds, since a percentile of so
 * little is noise, and takes the limit down at once when the tail that belongs to such a mean would be over the threshold (the other side
 * became slower), or up while there is far too much room (start, or it became faster).
 */
export class AdaptiveLimit {
  readonly #options: AdaptiveLimitOptions;
  readonly #aimMs: number;
  readonly #minLimit: number;
  readonly #maxLimit: number;
  readonly #latencies = new LatencyHistogram();
  #limit: number;
  #running = 0;
  /** Most at a time since the last slow step. */
  #peak = 0;
  #refusedSlow = 0;
  #refusedFast = 0;
  #fastCount = 0;
  #fastSum = 0;
  #fastAt: number;
  #slowAt: number;
  /** Requests from before the limit was taken down tell of the time before. */
  #reducedAt = -Infinity;
  /** 99th percentile by mean. */
  #tail = 3;

  constructor(options: AdaptiveLimitOptions) {
    this.#options = options;
    this.#aimMs = aim * options.thresholdMs;
    this.#minLimit = options.minLimit ?? 1;
    this.#maxLimit = options.maxLimit ?? 10_000;
    this.#limit = Math.min(this.#maxLimit, Math.max(this.#minLimit, untried));
    this.#fastAt = this.#slowAt = options.now();
  }

  get limit(): number {
    return this.#limit;
  }

  get running(): number {
    return this.#running;
  }

  /** False: there are enough. Each true is followed by one `end`. */
  begin(): boolean {
    // One may always run: without any there would be nothing to learn from.
    if (this.#running > 0 && this.#running + 1 > this.#limit) {
      this.#refusedSlow++;
      this.#refusedFast++;
      return false;
    }
    this.#running++;
    if (this.#running > this.#peak) this.#peak = this.#running;
    return true;
  }

  /** `latencyMs` undefined: its caller gave up, which says nothing. */
  end(latencyMs: number | undefined): void {
    this.#running--;
    const now = this.#options.now();
    if (latencyMs !== undefined && now - latencyMs >= this.#reducedAt) {
      this.#latencies.add(latencyMs);
      this.#fastCount++;
      this.#fastSum += latencyMs;
    }
    if (this.#fastCount >= 10 && now - this.#fastAt >= Math.min(200, this.#options.thresholdMs / 2)) this.#stepFast(now);
    if (this.#latencies.count >= 50 && now - this.#slowAt >= slowMs) this.#stepSlow(now);
  }

  #stepFast(now: number): void {
    const expectedTail = (this.#fastSum / this.#fastCount) * Math.min(2, Math.max(1.2, this.#tail));
    if (expectedTail > this.#options.thresholdMs) {
      this.#move(this.#limit * Math.max(0.5, this.#aimMs / expectedTail));
      this.#reducedAt = now;
      this.#latencies.fade(0.1);
    } else if (this.#refusedFast > 0 && expectedTail < this.#aimMs * 0.4) this.#move(this.#limit * 1.08 + 0.1);
    this.#fastCount = this.#fastSum = this.#refusedFast = 0;
    this.#fastAt = now;
  }

  #stepSlow(now: number): void {
    const percentile = this.#latencies.quantile(0.99);
    const room = this.#aimMs / percentile;
    this.#tail += 0.3 * (percentile / this.#latencies.mean - this.#tail);
    if (room < 1) this.#move(this.#limit * Math.max(0.8, room ** 0.7));
    else if (this.#refusedSlow > 0) this.#move(this.#limit * Math.min(1.04, room ** 0.3));
    else {
      // A limit that nothing comes near was never tried: the next rush would go through it unmeasured.
      const tried = Math.max(untried, 2 * this.#peak);
      if (this.#limit > tried) this.#move(Math.max(tried, this.#limit * 0.9));
    }
    this.#latencies.fade(memory);
    this.#refusedSlow = 0;
    this.#peak = this.#running;
    this.#slowAt = now;
  }

  #move(limit: number): void {
    this.#limit = Math.min(this.#maxLimit, Math.max(this.#minLimit, limit));
  }
}
