// A copy of a request on its way to a mirror: its answer is read and dropped.
import type { Duplex } from 'node:stream';
import type { MirrorAttempt } from '@weft/data-plane/internal';
import type { AttemptOwner } from './attempt-handler.js';
import type { RequestBody } from './request-body.js';

export class Mirror implements AttemptOwner {
  readonly paused = false;
  readonly body: RequestBody | undefined;
  readonly #attempt: MirrorAttempt;

  constructor(attempt: MirrorAttempt, body: RequestBody | undefined) {
    this.#attempt = attempt;
    this.body = body;
  }

  /** What undici refuses to send says nothing about the host. */
  callerFailed(error: Error): void {
    this.#attempt.cancel(error);
  }

  requestSent(): void {}
  information(): void {}
  forwardHead(): void {}
  forwardData(): void {}
  forwardUpgrade(_status: number, _headers: unknown, _raw: unknown, socket: Duplex): void {
    socket.destroy();
  }

  finish(): void {}
}
