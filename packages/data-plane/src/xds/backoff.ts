export interface BackoffOptions {
  /** In [0, 1). */
  random(): number;
  /** Milliseconds. Default 15,000 (gRPC's own is 120,000: too long to wait for a control plane that was restarted). */
  maxMs?: number;
}

/** gRPC's connection backoff: 1 s, growing by 1.6, each ± 20 %. */
export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Milliseconds to wait after one more failure. */
  next(): number {
    const { random, maxMs = 15_000 } = this.#options;
    const delay = Math.min(1000 * 1.6 ** this.#failures++, maxMs);
    return delay * (0.8 + 0.4 * random());
  }

  reset(): void {
    this.#failures = 0;
  }
}
