import type { Clock } from '@weft/spiffe';

/** Counts what is in flight and tells when nothing is left. */
export class Drain {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  active = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(): void {
    this.active++;
  }

  end(): void {
    this.active--;
    if (this.active === 0 && this.#waiting.size > 0) for (const resolve of [...this.#waiting]) resolve();
  }

  /** Resolves with true once nothing is in flight, with false after `timeoutMs`. */
  idle(timeoutMs: number): Promise<boolean> {
    if (this.active === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = (idle: boolean) => {
        this.#waiting.delete(onIdle);
        timer.cancel();
        resolve(idle);
      };
      const onIdle = () => done(true);
      const timer = this.#clock.setTimeout(() => done(false), timeoutMs);
      this.#waiting.add(onIdle);
    });
  }
}
