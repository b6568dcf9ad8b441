/** The breakers of one filter, one a cluster or route; those that were not asked for longest go first where there are too many. */
export class BreakersByKey<T> {
  readonly #make: (key: string) => T;
  readonly #close: (breaker: T) => void;
  readonly #breakers = new Map<string, T>();

  constructor(make: (key: string) => T, close: (breaker: T) => void = () => {}) {
    this.#make = make;
    this.#close = close;
  }

  get(key: string): T {
    let breaker = this.#breakers.get(key);
    if (breaker !== undefined) return breaker;
    breaker = this.#make(key);
    for (const [oldest, other] of this.#breakers) {
      if (this.#breakers.size < most) break;
      this.#breakers.delete(oldest);
      this.#close(other);
    }
    this.#breakers.set(key, breaker);
    return breaker;
  }

  close(): void {
    for (const breaker of this.#breakers.values()) this.#close(breaker);
    this.#breakers.clear();
  }
}

/** A cluster_header may name as many clusters as its sender likes. */
const most = 1000;
