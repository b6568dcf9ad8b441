import type { Clock, Timer } from '@weft/spiffe';

/** Real time that can be moved on: what falls due on the way happens at once. */
export class HastyClock implements Clock {
  #ahead = 0;
  readonly #timers = new Set<{ due: number; run(): void }>();

  now(): number {
    return Date.now() + this.#ahead;
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const cancel = () => {
      clearTimeout(real);
      this.#timers.delete(timer);
    };
    const timer = { due: this.now() + ms, run: () => (cancel(), fn()) };
    const real = setTimeout(timer.run, Math.min(ms, 2 ** 31 - 1)).unref();
    this.#timers.add(timer);
    return { cancel };
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#timers.size;
  }

  hasten(ms: number): void {
    this.#ahead += ms;
    for (const timer of [...this.#timers].sort((a, b) => a.due - b.due)) if (timer.due <= this.now() && this.#timers.has(timer)) timer.run();
  }
}
