import { MeshError } from '@weft/data-plane/internal';

/** Something that runs and can be told to stop. */
export interface Running {
  giveUp(reason: Error): void;
}

/** What runs, so that closing can wait for it, but not for ever: a response nobody reads would never end. */
export class InFlight {
  readonly #running = new Set<Running>();
  #waiting: (() => void) | undefined;

  add(running: Running): void {
    this.#running.add(running);
  }

  remove(running: Running): void {
    this.#running.delete(running);
    if (this.#running.size === 0) this.#waiting?.();
  }

  /** Resolves when nothing runs any more; after `timeoutMs` what is left is given up. */
  async drained(timeoutMs: number): Promise<void> {
    if (this.#running.size === 0) return;
    const timer = setTimeout(() => {
      for (const running of [...this.#running]) running.giveUp(new MeshError('WEFT_CLOSED', `the request did not end within ${timeoutMs} ms of close()`));
    }, timeoutMs);
    timer.unref();
    await new Promise<void>((resolve) => (this.#waiting = resolve));
    clearTimeout(timer);
  }
}
