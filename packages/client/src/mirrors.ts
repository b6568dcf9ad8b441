import type { MirrorAttempt } from '@weft/data-plane/internal';

/** Mirrored requests on their way. Nobody waits for them: closing ends them. */
export class Mirrors {
  readonly #running = new Set<MirrorAttempt>();

  add(attempt: MirrorAttempt): void {
    this.#running.add(attempt);
    attempt.onOver = () => void this.#running.delete(attempt);
  }

  close(): void {
    for (const attempt of [...this.#running]) attempt.cancel(new Error('the mesh was closed'));
  }
}
