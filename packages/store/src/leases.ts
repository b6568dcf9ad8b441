import type { StoreClock } from './clock.js';
import { LeaseExpired } from './errors.js';
import type { Lease } from './store.js';

interface LeaseTimer {
  readonly ttlMs: number;
  timer: { cancel(): void };
}

/** The running leases of a store: who expires when. Which keys belong to a lease is the store's own knowledge. */
export class Leases {
  readonly #clock: StoreClock;
  readonly #end: (id: string) => Promise<void>;
  readonly #renewed: (id: string, expiresAt: number) => Promise<void>;
  readonly #running = new Map<string, LeaseTimer>();

  /** @param end deletes the lease and its keys. @param renewed records a new expiry, where the store outlives the process. */
  constructor(clock: StoreClock, end: (id: string) => Promise<void>, renewed: (id: string, expiresAt: number) => Promise<void>) {
    this.#clock = clock;
    this.#end = end;
    this.#renewed = renewed;
  }

  has(id: string): boolean {
    return this.#running.has(id);
  }

  start(id: string, ttlMs: number, remainingMs = ttlMs): Lease {
    this.#running.set(id, { ttlMs, timer: this.#expiry(id, remainingMs) });
    return {
      id,
      keepAlive: async () => {
        const running = this.#running.get(id);
        if (!running) throw new LeaseExpired(id);
        running.timer.cancel();
        running.timer = this.#expiry(id, running.ttlMs);
        await this.#renewed(id, this.#clock.now() + running.ttlMs);
      },
      revoke: () => this.#finish(id),
    };
  }

  close(): void {
    for (const { timer } of this.#running.values()) timer.cancel();
    this.#running.clear();
  }

  #expiry(id: string, ms: number): { cancel(): void } {
    return this.#clock.setTimeout(() => void this.#finish(id).catch(() => undefined), ms);
  }

  async #finish(id: string): Promise<void> {
    const running = this.#running.get(id);
    if (!running) return;
    running.timer.cancel();
    this.#running.delete(id);
    await this.#end(id);
  }
}
