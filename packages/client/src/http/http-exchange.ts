// One HTTP request of the application: the engine decides, this moves. Chunks go from the host's pool to the caller without passing the engine.
import { HeaderMap, MeshError, type BodyPipe, type Downstream, type HttpTransport, type LocalReply, type MirrorAttempt, type OutboundEngine, type OutboundListenerSnapshot, type OutboundStream, type RequestHead, type UpstreamAttempt } from '@weft/data-plane/internal';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Running } from '../in-flight.js';
import { AttemptHandler, type AttemptOwner } from './attempt-handler.js';
import type { Mirrors } from '../mirrors.js';
import { Mirror } from './mirror.js';
import { filteredBody, type RequestBody } from './request-body.js';
import { headerObject, rawList, type HeaderObject, type RawHeaders } from './response-head.js';

export interface ExchangeServices {
  readonly engine: OutboundEngine;
  readonly transport: HttpTransport;
  readonly mirrors: Mirrors;
  /** Bytes of a streamed request body kept for retries. */
  readonly replayBytes: number;
  /** What carries https:// to this host; undefined where it is not the mesh's. */
  secureFor(authority: string): Promise<Dispatcher | undefined>;
  /** Counts exchanges, so that closing can wait for them. */
  started(running: Running): void;
  ended(running: Running): void;
}

export interface ExchangeOptions {
  /** undici's own timeouts, where the caller sets them; milliseconds. */
  readonly headersTimeout?: number | null | undefined;
  readonly bodyTimeout?: number | null | undefined;
  readonly blocking?: boolean | undefined;
  readonly reset?: boolean | undefined;
}

/** Also the controller that the caller sees: it stays while attempts come and go. */
export abstract class HttpExchange implements Downstream, AttemptOwner, Running, Dispatcher.DispatchController {
  readonly #services: ExchangeServices;
  readonly head: RequestHead;
  body: RequestBody | undefined;
  readonly #options: ExchangeOptions;
  #stream: OutboundStream | undefined;
  #attempt: AttemptHandler | undefined;
  #sent = false;
  #over = false;
  #reason: Error | null = null;
  #upgraded: Duplex | undefined;
  paused = false;
  #rawHeaders: RawHeaders = null;
  #rawTrailers: RawHeaders = null;
  /** What the response's body passes on its way to the caller. */
  #response: BodyPipe | undefined;
  #received = false;

  constructor(services: ExchangeServices, head: RequestHead, body: RequestBody | undefined, options: ExchangeOptions) {
    this.#services = services;
    this.head = head;
    this.body = body;
    this.#options = options;
    services.started(this);
  }

  protected abstract emitInformation(status: number, headers: HeaderObject): void;
  protected abstract emitHead(status: number, headers: HeaderObject, statusMessage: string): void;
  protected abstract emitData(chunk: Buffer): void;
  /** The socket is the caller's; what it does with it the exchange does not see. */
  protected abstract emitUpgrade(status: number, headers: HeaderObject, socket: Duplex): void;
  protected abstract emitEnd(trailers: HeaderObject): void;
  protected abstract emitError(error: Error): void;

  start(snapshot: OutboundListenerSnapshot): void {
    if (this.#over) return;
    // The engine may reach the host, or the end of the request, before `start` returns.
    const stream = this.#services.engine.start(snapshot, this.head, this);
    this.#stream = stream;
    // The caller's mistake came out while the first attempt was being made.
    if (this.#over) stream.cancel();
    else if (this.#sent) stream.requestEnd(this.body?.bytes ?? 0);
  }

  get over(): boolean {
    return this.#over;
  }

  // What the engine asks for.

  get replayable(): boolean {
    return this.body?.replayable ?? true;
  }

  get hasBody(): boolean {
    return this.body !== undefined;
  }

  describeBody({ headers }: RequestHead): void {
    const { length, contentType } = this.body!;
    if (length !== undefined && !headers.has('content-length')) headers.add('content-length', String(length));
    if (contentType !== undefined && !headers.has('content-type')) headers.add('content-type', contentType);
  }

  readBody(pipe: BodyPipe): void {
    const given = this.body!;
    const { contentType } = given;
    if (contentType !== undefined && !this.head.headers.has('content-type')) this.head.headers.add('content-type', contentType);
    // A body that is in memory anyway may be kept as it becomes, too.
    this.body = filteredBody(given, pipe, Math.max(this.#services.replayBytes, given.length ?? 0), (error) => this.callerFailed(error));
  }

  filterResponse(pipe: BodyPipe): void {
    this.#response = pipe;
    // Once all has been received, the connection carries another request.
    const controller = () => (this.#received ? undefined : this.#attempt?.controller);
    pipe.source = { pause: () => controller()?.pause(), resume: () => controller()?.resume() };
  }

  get bytesSent(): number {
    return this.body?.bytes ?? 0;
  }

  limitReplay(bytes: number): void {
    this.body?.limitReplay(bytes);
  }

  connect(attempt: UpstreamAttempt, withoutBody?: boolean): void {
    const handler = new AttemptHandler(this, attempt);
    this.#attempt = handler;
    this.#dispatch(attempt, withoutBody ? undefined : this.body, this.#options, handler);
  }

  whenWhole(send: () => void): void {
    if (this.body) this.body.whenWhole(send);
    else send();
  }

  mirror(attempt: MirrorAttempt): void {
    const body = this.body?.copy();
    this.#services.mirrors.add(attempt);
    this.#dispatch(attempt, body, {}, new AttemptHandler(new Mirror(attempt, body), attempt));
  }

  #dispatch(attempt: UpstreamAttempt, body: RequestBody | undefined, { headersTimeout, bodyTimeout, blocking, reset }: ExchangeOptions, handler: AttemptHandler): void {
    let dispatcher: Dispatcher;
    try {
      dispatcher = this.#services.transport.dispatcher(attempt.host, attempt.cluster);
    } catch (error) {
      handler.onResponseError(null, error as Error);
      return;
    }
    const { head, idleTimeoutMs } = attempt;
    const headers = ['host', head.authority];
    const { raw } = head.headers;
    for (let i = 0; i < raw.length; i += 2) {
      // undici writes these itself.
      if (head.upgrade === undefined || (raw[i] !== 'upgrade' && raw[i] !== 'connection')) headers.push(raw[i]!, raw[i + 1]!);
    }
    dispatcher.dispatch(
      {
        path: head.path,
        method: head.method,
        headers,
        body: body ? (body.open() as Buffer) : null,
        headersTimeout: earlier(headersTimeout, idleTimeoutMs),
        bodyTimeout: earlier(bodyTimeout, idleTimeoutMs),
        ...(head.upgrade !== undefined && { upgrade: head.upgrade }),
        ...(blocking !== undefined && { blocking }),
        ...(reset !== undefined && { reset }),
      },
      handler,
    );
  }

  reply(reply: LocalReply): void {
    if (this.#over) return;
    if (reply.error) return this.fail(reply.error);
    const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : bufferOf(reply.body);
    const headers = new HeaderMap();
    for (const [name, value] of reply.headers ?? []) headers.add(name, value);
    // Statuses that have no body: who reads the response could not tell where it ends.
    const bodiless = reply.status === 204 || reply.status === 304;
    if (body.length > 0) {
      if (!bodiless) headers.set('content-length', String(body.length));
      if (!headers.has('content-type')) headers.add('content-type', 'text/plain');
    }
    this.#rawHeaders = headers;
    this.guarded(() => {
      this.emitHead(reply.status, headerObject(headers), '');
      if (body.length > 0 && !bodiless && this.head.method !== 'HEAD' && !this.#over) this.emitData(body);
    });
    this.#finished({}, []);
  }

  breakOff(error: Error): void {
    this.fail(error);
  }

  // What attempts report. Only the present one is heard.

  requestSent(attempt: AttemptHandler): void {
    if (attempt !== this.#attempt) return;
    this.#sent = true;
    this.#stream?.requestEnd(this.body?.bytes ?? 0);
  }

  information(status: number, headers: HeaderObject): void {
    if (!this.#over) this.guarded(() => this.emitInformation(status, headers));
  }

  forwardHead(attempt: AttemptHandler, status: number, headers: HeaderObject, raw: RawHeaders, statusMessage: string): void {
    // With hedging, not always the newest.
    this.#attempt = attempt;
    this.#rawHeaders = raw;
    this.guarded(() => this.emitHead(status, headers, statusMessage));
    this.#response?.open({
      data: (chunk) => {
        this.#emit(bufferOf(chunk));
        return !this.paused;
      },
      end: (trailers) => this.#finished(headerObject(trailers), trailers),
    });
    if (this.paused) this.#response?.pause();
  }

  forwardData(chunk: Buffer): void {
    if (this.#response) this.#response.write(chunk);
    else this.#emit(chunk);
  }

  #emit(chunk: Buffer): void {
    if (this.#over) return;
    try {
      this.emitData(chunk);
    } catch (error) {
      this.abort(error as Error);
    }
  }

  forwardUpgrade(status: number, headers: HeaderObject, raw: RawHeaders, socket: Duplex): void {
    if (this.#over) return void socket.destroy();
    this.#rawHeaders = raw;
    this.#upgraded = socket;
    socket.once('close', () => this.#end());
    this.guarded(() => this.emitUpgrade(status, headers, socket));
  }

  finish(trailers: HeaderObject, raw: RawHeaders): void {
    this.#received = true;
    if (this.#response && !this.#over) this.#response.end(HeaderMap.from(trailers as Record<string, string>));
    else this.#finished(trailers, raw);
  }

  #finished(trailers: HeaderObject, raw: RawHeaders): void {
    if (this.#over) return;
    this.#rawTrailers = raw;
    this.#end();
    this.emitEnd(trailers);
  }

  /** The caller's request or its own stream is at fault, or the caller went away: no host is to blame. */
  callerFailed(error: Error): void {
    if (this.#over) return;
    this.#stream?.cancel(error);
    this.fail(error);
  }

  fail(error: Error): void {
    if (this.#over) return;
    this.#end();
    // Its caller has had its answer, and hears the rest from the socket.
    if (this.#upgraded) this.#upgraded.destroy(error);
    else this.emitError(error);
  }

  giveUp(reason: Error): void {
    this.callerFailed(reason);
  }

  // The controller of the caller.

  get rawHeaders(): ReturnType<typeof rawList> {
    return rawList(this.#rawHeaders);
  }

  get rawTrailers(): ReturnType<typeof rawList> {
    return rawList(this.#rawTrailers);
  }

  get aborted(): boolean {
    return this.#reason !== null;
  }

  get reason(): Error | null {
    return this.#reason;
  }

  abort(reason?: Error): void {
    if (this.#over) return;
    this.#reason = reason ?? new DOMException('The request was aborted', 'AbortError');
    this.callerFailed(this.#reason);
  }

  pause(): void {
    this.paused = true;
    if (this.#response) this.#response.pause();
    else this.#attempt?.controller?.pause();
  }

  resume(): void {
    this.paused = false;
    if (this.#response) this.#response.resume();
    else this.#attempt?.controller?.resume();
  }

  /** An application's handler that throws has given up its request. */
  protected guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.abort(error as Error);
    }
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.body?.close();
    this.#services.ended(this);
  }
}

function bufferOf(chunk: Uint8Array): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

/** undici: 0 is off; null and undefined mean its 300 s, which the mesh has already turned off at the pool. */
function earlier(own: number | null | undefined, idle: number): number {
  return own && idle ? Math.min(own, idle) : own || idle;
}

/** A tunnel names its own destination, past routes and policy. */
export function refuseConnect(method: string): MeshError | undefined {
  return method === 'CONNECT' ? new MeshError('WEFT_UNSUPPORTED', 'CONNECT through the mesh') : undefined;
}
