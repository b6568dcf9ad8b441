// undici's callers (fetch, request, stream, interceptors): their handler on one side, the exchange on the other.
import type { RequestHead } from '@weft/data-plane/internal';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { HttpExchange, type ExchangeOptions, type ExchangeServices } from './http-exchange.js';
import type { RequestBody } from './request-body.js';
import type { HeaderObject } from './response-head.js';

export class DispatchStream extends HttpExchange {
  readonly #handler: Dispatcher.DispatchHandler;

  constructor(services: ExchangeServices, head: RequestHead, body: RequestBody | undefined, options: ExchangeOptions, handler: Dispatcher.DispatchHandler) {
    super(services, head, body, options);
    this.#handler = handler;
  }

  /** Gives the caller its controller; it may abort from then on. */
  announce(): void {
    this.guarded(() => this.#handler.onRequestStart?.(this, {}));
  }

  override requestSent(...args: Parameters<HttpExchange['requestSent']>): void {
    super.requestSent(...args);
    this.#handler.onRequestSent?.();
  }

  protected emitInformation(status: number, headers: HeaderObject): void {
    this.#handler.onResponseStart?.(this, status, headers, '');
  }

  protected emitHead(status: number, headers: HeaderObject, statusMessage: string): void {
    this.#handler.onResponseStarted?.();
    this.#handler.onResponseStart?.(this, status, headers, statusMessage);
  }

  protected emitData(chunk: Buffer): void {
    this.#handler.onResponseData?.(this, chunk);
  }

  protected emitUpgrade(status: number, headers: HeaderObject, socket: Duplex): void {
    this.#handler.onRequestUpgrade?.(this, status, headers, socket);
  }

  protected emitEnd(trailers: HeaderObject): void {
    this.#handler.onResponseEnd?.(this, trailers);
  }

  protected emitError(error: Error): void {
    this.#handler.onResponseError?.(this, error);
  }
}
