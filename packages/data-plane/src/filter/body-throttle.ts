// Bodies that are let through at a limited rate.
import type { BodyFilter, FilterContext } from './http-filter.js';

/** Bytes that may pass now. It fills with time, up to what may pass in a second. */
export class ByteBucket {
  readonly #perSecond: number;
  readonly #now: () => number;
  #bytes: number;
  #at: number;

  /** @param bytes there at the start. */
  constructor(perSecond: number, bytes: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#bytes = bytes;
    this.#now = now;
    this.#at = now();
  }

  /** @returns how many of the `wanted` bytes may pass. */
  take(wanted: number): number {
    const now = this.#now();
    this.#bytes = Math.min(this.#perSecond, this.#bytes + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    const taken = Math.min(wanted, Math.floor(this.#bytes));
    this.#bytes -= taken;
    return taken;
  }
}

export interface Throttle extends BodyFilter {
  /** Time that chunks were held, ms. */
  readonly heldMs: number;
  /** Whether anything was. */
  readonly held: boolean;
  /** The request is over. */
  cancel(): void;
}

/** Looks every `intervalMs` for what may pass, as Envoy does; the first time at once. */
export function throttle(bucket: ByteBucket, intervalMs: number, context: Pick<FilterContext, 'now' | 'setTimeout'>): Throttle {
  let timer: { cancel(): void } | undefined;
  return {
    heldMs: 0,
    held: false,
    data(chunk, push) {
      let rest = chunk;
      const pass = (): boolean => {
        const bytes = bucket.take(rest.length);
        if (bytes > 0) push(rest.subarray(0, bytes));
        rest = rest.subarray(bytes);
        return rest.length === 0;
      };
      if (pass()) return undefined;
      const state = this as { heldMs: number; held: boolean };
      state.held = true;
      const since = context.now();
      return new Promise((resolve) => {
        const tick = () => {
          if (!pass()) return void (timer = context.setTimeout(tick, intervalMs));
          state.heldMs += context.now() - since;
          resolve(undefined);
        };
        timer = context.setTimeout(tick, intervalMs);
      });
    },
    cancel: () => timer?.cancel(),
  };
}
