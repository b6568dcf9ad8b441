// mesh.request: the short way, without undici's request machinery between the host's connection and the caller.
import { MeshError, type Lookup, type OutboundListenerSnapshot, type RequestHead } from '@weft/data-plane/internal';
import type { Duplex } from 'node:stream';
import { errors, type Dispatcher } from 'undici';
import { HttpExchange, refuseConnect, type ExchangeOptions, type ExchangeServices } from './http-exchange.js';
import type { MeshDispatcher } from './mesh-dispatcher.js';
import type { Passage } from './passage.js';
import { requestBody, type BodyInput, type RequestBody } from './request-body.js';
import { ResponseBody } from './response-body.js';
import type { HeaderObject } from './response-head.js';
import { parseTarget, requestHead, withQuery } from './target.js';

export interface MeshRequestOptions {
  /** Default GET, or PUT where there is a body (as undici's). */
  method?: string;
  headers?: Dispatcher.DispatchOptions['headers'];
  body?: BodyInput;
  /** Added to the URL as its query. */
  query?: Readonly<Record<string, unknown>> | null;
  signal?: AbortSignal | null;
  /** Milliseconds; the earlier of it and the route's own timeouts counts. */
  headersTimeout?: number | null;
  /** Milliseconds between two chunks of the response. */
  bodyTimeout?: number | null;
  /** Of the response body, in bytes. Default 64 KiB. */
  highWaterMark?: number;
  /** 1xx responses. */
  onInfo?: (info: { statusCode: number; headers: HeaderObject }) => void;
}

export interface MeshResponse {
  readonly statusCode: number;
  readonly statusText: string;
  readonly headers: HeaderObject;
  /** Filled once the body has been read to its end. */
  readonly trailers: HeaderObject;
  readonly body: ResponseBody;
}

export interface RequestServices {
  readonly exchange: ExchangeServices;
  readonly dispatcher: MeshDispatcher;
  readonly passage: Passage;
  readonly replayBytes: number;
  closed(): boolean;
}

export function meshRequest(services: RequestServices, url: string | URL, options: MeshRequestOptions = {}): Promise<MeshResponse> {
  return new Promise((resolve, reject) => {
    if (services.closed()) throw new MeshError('WEFT_CLOSED', 'no requests after close()');
    options.signal?.throwIfAborted();
    const target = parseTarget(url);
    const method = options.method ?? (options.body === undefined || options.body === null ? 'GET' : 'PUT');
    const refused = refuseConnect(method);
    if (refused) throw refused;
    if (target.scheme === 'https') {
      services.exchange.secureFor(target.authority).then((secure) => passThrough(secure ?? services.dispatcher.passOn(), url, method, options)).then(resolve, reject);
      return;
    }
    const lookup = services.exchange.engine.lookup(target.scheme, target.authority);
    const outside = (error: Error) => {
      if (!services.passage.allows(error, target.authority)) return reject(error);
      passThrough(services.dispatcher.passOn(), url, method, options).then(resolve, reject);
    };
    if (lookup.kind === 'absent') return outside(lookup.error);
    const path = withQuery(target.path, options.query);
    const begin = (): RequestExchange => {
      const head = requestHead(target, method, path, options.headers);
      return new RequestExchange(services.exchange, head, requestBody(options.body, services.replayBytes), options, options, resolve, reject);
    };
    if (lookup.kind === 'mesh') return begin().start(lookup.snapshot);
    if (services.passage.allowed(target.authority)) {
      void services.passage.settle(lookup, target.authority).then((settled) => (settled.kind === 'mesh' ? begin().start(settled.snapshot) : outside(settled.error))).catch(reject);
      return;
    }
    begin().startWhenKnown(lookup);
  });
}

class RequestExchange extends HttpExchange {
  readonly #options: MeshRequestOptions;
  readonly #resolve: (response: MeshResponse) => void;
  readonly #reject: (error: Error) => void;
  readonly #trailers: HeaderObject = {};
  #body: ResponseBody | undefined;
  #onAbort: (() => void) | undefined;

  constructor(services: ExchangeServices, head: RequestHead, body: RequestBody | undefined, exchange: ExchangeOptions, options: MeshRequestOptions, resolve: (response: MeshResponse) => void, reject: (error: Error) => void) {
    super(services, head, body, exchange);
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    const { signal } = options;
    if (signal) {
      this.#onAbort = () => this.abort(signal.reason as Error);
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  override start(snapshot: OutboundListenerSnapshot): void {
    super.start(snapshot);
  }

  startWhenKnown(lookup: Extract<Lookup, { kind: 'pending' }>): void {
    lookup.wait(this.#options.signal ?? undefined).then(
      (settled) => (settled.kind === 'mesh' ? this.start(settled.snapshot) : this.fail(settled.error)),
      (error: unknown) => this.fail(error as Error),
    );
  }

  protected emitInformation(statusCode: number, headers: HeaderObject): void {
    this.#options.onInfo?.({ statusCode, headers });
  }

  protected emitHead(statusCode: number, headers: HeaderObject, statusText: string): void {
    const type = headers['content-type'];
    this.#body = new ResponseBody(this, typeof type === 'string' ? type : '', this.#options.highWaterMark);
    this.#resolve({ statusCode, statusText, headers, trailers: this.#trailers, body: this.#body });
  }

  protected emitData(chunk: Buffer): void {
    if (!this.#body!.receive(chunk)) this.pause();
  }

  protected emitUpgrade(_status: number, _headers: HeaderObject, socket: Duplex): void {
    // Nothing here asks for one.
    socket.destroy();
  }

  protected emitEnd(trailers: HeaderObject): void {
    this.#unlisten();
    for (const name of Object.keys(trailers)) Object.defineProperty(this.#trailers, name, { value: trailers[name], enumerable: true, configurable: true, writable: true });
    this.#body!.complete();
  }

  protected emitError(error: Error): void {
    this.#unlisten();
    if (this.#body) this.#body.fail(error);
    else this.#reject(error);
  }

  #unlisten(): void {
    if (this.#onAbort) this.#options.signal!.removeEventListener('abort', this.#onAbort);
  }
}

/** Through undici, whose answer has the same form. */
async function passThrough(dispatcher: Dispatcher, url: string | URL, method: string, options: MeshRequestOptions): Promise<MeshResponse> {
  const target = parseTarget(url);
  if (typeof dispatcher.request !== 'function') throw new errors.InvalidArgumentError('the dispatcher installed before has no request()');
  const { headers, body, query, signal, headersTimeout, bodyTimeout, highWaterMark, onInfo } = options;
  const requestOptions = {
    origin: `${target.scheme}://${target.authority}`, path: target.path, method, headers, body, signal,
    ...(query && { query }), ...(headersTimeout != null && { headersTimeout }), ...(bodyTimeout != null && { bodyTimeout }), ...(highWaterMark !== undefined && { highWaterMark }), ...(onInfo && { onInfo }),
  };
  return (await dispatcher.request(requestOptions as Dispatcher.RequestOptions)) as unknown as MeshResponse;
}
