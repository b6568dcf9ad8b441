/** What the stores need of a clock; `Clock` of @weft/spiffe fits. */
export interface StoreClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** The timer must not keep the process alive. */
  setTimeout(fn: () => void, ms: number): { cancel(): void };
}

export const storeClock: StoreClock = {
  now: () => Date.now(),
  setTimeout(fn, ms) {
    const timer = setTimeout(fn, ms).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
