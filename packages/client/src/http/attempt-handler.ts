// undici's handler for one attempt at one host.
import { httpFailure, isCallerError, type UpstreamAttempt, type UpstreamFailure } from '@weft/data-plane/internal';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { RequestBody } from './request-body.js';
import { watchUpgraded } from './upgraded.js';
import { headerObject, HttpResponseHead, type HeaderObject, type RawHeaders } from './response-head.js';

/** Of a response that is thrown away: reading up to so much keeps its connection, which is worth more than the bytes. */
const drainedBytes = 65_536;
const drainedMs = 1000;

/** What an attempt tells its request. */
export interface AttemptOwner {
  readonly body: RequestBody | undefined;
  /** The caller wants no more chunks for now. */
  readonly paused: boolean;
  requestSent(attempt: AttemptHandler): void;
  information(status: number, headers: HeaderObject): void;
  forwardHead(attempt: AttemptHandler, status: number, headers: HeaderObject, raw: RawHeaders, statusMessage: string): void;
  forwardData(chunk: Buffer): void;
  /** The connection is the caller's: `end` ends the attempt. */
  forwardUpgrade(status: number, headers: HeaderObject, raw: RawHeaders, socket: Duplex): void;
  finish(trailers: HeaderObject, raw: RawHeaders): void;
  callerFailed(error: Error): void;
}

export class AttemptHandler implements Dispatcher.DispatchHandler {
  readonly #exchange: AttemptOwner;
  readonly #attempt: UpstreamAttempt;
  controller: Dispatcher.DispatchController | undefined;
  #state: 'waiting' | 'forwarding' | 'draining' | 'over' = 'waiting';
  #received = 0;
  #reason: Error | undefined;
  #drainTimer: NodeJS.Timeout | undefined;

  constructor(exchange: AttemptOwner, attempt: UpstreamAttempt) {
    this.#exchange = exchange;
    this.#attempt = attempt;
    attempt.abort = (reason) => this.#abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    // Given up while it waited for a connection.
    if (this.#state === 'over') controller.abort(this.#reason!);
    else {
      if (this.#exchange.paused) controller.pause();
      this.#attempt.onReady();
    }
  }

  onRequestSent(): void {
    if (this.#state !== 'over') this.#exchange.requestSent(this);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: HeaderObject, statusMessage?: string): void {
    if (this.#state !== 'waiting') return;
    if (status < 200) {
      this.#attempt.onInformation();
      this.#exchange.information(status, headers);
      return;
    }
    const head = new HttpResponseHead(status, headers);
    if (this.#attempt.onHead(head) === 'discard') {
      this.#drain(controller, headers);
      return;
    }
    this.#state = 'forwarding';
    const { edited } = head;
    if (edited) this.#exchange.forwardHead(this, head.status, headerObject(edited), edited, statusMessage ?? '');
    else this.#exchange.forwardHead(this, head.status, headers, controller.rawHeaders ?? null, statusMessage ?? '');
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, status: number, headers: HeaderObject, socket: Duplex): void {
    const head = new HttpResponseHead(status, headers);
    if (this.#state !== 'waiting' || this.#attempt.onHead(head) === 'discard') return void socket.destroy();
    this.#state = 'over';
    const { edited } = head;
    const attempt = this.#attempt;
    watchUpgraded(socket, attempt.idleTimeoutMs, (end) => attempt.onEnd(end));
    attempt.abort = (reason) => socket.destroy(reason);
    if (edited) this.#exchange.forwardUpgrade(status, headerObject(edited), edited, socket);
    else this.#exchange.forwardUpgrade(status, headers, controller.rawHeaders ?? null, socket);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#received === 0) this.#attempt.onFirstData?.();
    this.#received += chunk.length;
    if (this.#state === 'forwarding') this.#exchange.forwardData(chunk);
    else if (this.#state === 'draining' && this.#received > drainedBytes) this.#abort(new Error('the discarded response is too long to read'), controller);
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: HeaderObject): void {
    const was = this.#state;
    this.#state = 'over';
    clearTimeout(this.#drainTimer);
    if (was !== 'forwarding') return;
    this.#attempt.onTrailers?.({ get: (name) => [trailers[name]].flat()[0] });
    this.#attempt.onEnd({ bytesSent: this.#exchange.body?.bytes ?? 0, bytesReceived: this.#received });
    this.#exchange.finish(trailers, controller.rawTrailers ?? null);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const was = this.#state;
    this.#state = 'over';
    clearTimeout(this.#drainTimer);
    if (was !== 'waiting' && was !== 'forwarding') return;
    if (isCallerError(error) || (this.#exchange.body?.error !== undefined && this.#exchange.body.error === error)) this.#exchange.callerFailed(error);
    else if (was === 'forwarding') this.#fail(httpFailure(error, true));
    else this.#fail(httpFailure(error, this.controller !== undefined));
  }

  #fail(failure: UpstreamFailure): void {
    // undici's timers are the only ones that cut an attempt from below.
    this.#attempt.onFailure(failure.kind === 'per-try-timeout' && this.#attempt.idleTimeoutMs > 0 ? { ...failure, idle: true } : failure);
  }

  #drain(controller: Dispatcher.DispatchController, headers: HeaderObject): void {
    if (this.#state === 'over') return;
    this.#state = 'draining';
    if (Number(headers['content-length'] ?? 0) > drainedBytes) return this.#abort(new Error('the discarded response is too long to read'), controller);
    this.#drainTimer = setTimeout(() => this.#abort(new Error('the discarded response takes too long to read'), controller), drainedMs);
    this.#drainTimer.unref();
    controller.resume();
  }

  #abort(reason: Error, controller = this.controller): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#reason = reason;
    clearTimeout(this.#drainTimer);
    controller?.abort(reason);
  }
}
