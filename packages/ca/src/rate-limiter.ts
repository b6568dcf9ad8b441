import type { Clock } from '@weft/spiffe';

/** Decides whether a caller may do one more thing now. */
export interface Limiter {
  allow(caller: string): boolean;
}

export interface RateLimiterOptions {
  readonly perSecond: number;
  readonly burst: number;
  readonly clock: Clock;
  /** Callers remembered. Default 10 000. */
  readonly maxCallers?: number;
}

/** A token bucket for each caller. The least recently seen one is forgotten first: a flood of names cannot grow the map. */
export class RateLimiter implements Limiter {
  readonly #options: Required<RateLimiterOptions>;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(options: RateLimiterOptions) {
    this.#options = { maxCallers: 10_000, ...options };
  }

  get size(): number {
    return this.#buckets.size;
  }

  allow(caller: string): boolean {
    const { perSecond, burst, clock, maxCallers } = this.#options;
    const now = clock.now();
    const known = this.#buckets.get(caller);
    const tokens = known ? Math.min(burst, known.tokens + (Math.max(0, now - known.at) / 1000) * perSecond) : burst;
    const allowed = tokens >= 1;
    this.#buckets.delete(caller);
    this.#buckets.set(caller, { tokens: allowed ? tokens - 1 : tokens, at: now });
    if (this.#buckets.size > maxCallers) this.#buckets.delete(this.#buckets.keys().next().value!);
    return allowed;
  }
}
