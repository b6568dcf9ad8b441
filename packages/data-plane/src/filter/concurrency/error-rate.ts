// One opossum breaker, fed by requests that are judged when they are over. Percentiles and snapshots are off: they cost
// milliseconds a failure, and the mesh has its own.
import { EventEmitter } from 'node:events';
import CircuitBreaker from 'opossum';
import type { ErrorRateBreakerOptions } from './breaker-options.js';

export interface ErrorRateContext {
  setTimeout(run: () => void, ms: number): { cancel(): void };
  onState(state: 'open' | 'halfOpen' | 'close'): void;
}

const buckets = 10;

export class ErrorRate {
  readonly #breaker: CircuitBreaker<[Promise<void>], void>;
  readonly #rotate = new EventEmitter();
  readonly #context: ErrorRateContext;
  readonly #resetTimeoutMs: number;
  readonly #bucketMs: number;
  #rotation: { cancel(): void } | undefined;

  constructor({ errorThresholdPercent = 50, volumeThreshold = 20, rollingWindowMs = 10_000, resetTimeoutMs = 30_000 }: ErrorRateBreakerOptions, context: ErrorRateContext) {
    this.#context = context;
    this.#resetTimeoutMs = resetTimeoutMs;
    this.#bucketMs = rollingWindowMs / buckets;
    this.#breaker = new CircuitBreaker((outcome: Promise<void>) => outcome, {
      timeout: false,
      errorThresholdPercentage: errorThresholdPercent,
      volumeThreshold,
      rollingCountTimeout: rollingWindowMs,
      rollingCountBuckets: buckets,
      resetTimeout: resetTimeoutMs,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: this.#rotate,
    });
    this.#breaker.on('open', () => context.onState('open'));
    this.#breaker.on('halfOpen', () => context.onState('halfOpen'));
    this.#breaker.on('close', () => context.onState('close'));
    this.#turn();
  }

  get isOpen(): boolean {
    return !this.#breaker.closed;
  }

  /** Tells how a request that is let through ended; undefined where none is. */
  begin(): ((failed: boolean | undefined) => void) | undefined {
    const trial = this.#breaker.halfOpen;
    if (!this.#breaker.closed && !this.#breaker.pendingClose) return undefined;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#breaker.fire(promise).catch(() => {});
    let timer: { cancel(): void } | undefined;
    const end = (failed: boolean | undefined) => {
      timer?.cancel();
      if (failed === false) resolve();
      // A trial that its caller gave up proves nothing, so it stays open; any other says nothing either way.
      else if (failed || trial) reject(new Error('failed'));
    };
    // One that hangs would keep all others out for ever.
    if (trial) timer = this.#context.setTimeout(() => end(true), this.#resetTimeoutMs);
    return end;
  }

  close(): void {
    this.#rotation?.cancel();
    this.#breaker.shutdown();
  }

  #turn(): void {
    this.#rotation = this.#context.setTimeout(() => {
      this.#rotate.emit('rotate');
      this.#turn();
    }, this.#bucketMs);
  }
}
