// Watches one response: its head passes the engine before it leaves, its bytes are counted, its end is reported once.
import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { grpcStatusOf, HeaderMap, type BodyPipe, type Drain, type InboundProgress, type InboundStream, type LocalReply, type OutgoingHeaders, type ResponseHead } from '@weft/data-plane/internal';
import { grpcMessage } from '../grpc/grpc-message.js';
import { diffHeaders } from './diff-headers.js';
import { FilteredResponse } from './filtered-response.js';

export interface ResponseWatch {
  readonly requests: Drain;
  /** Asked when the head goes out. */
  closing(request: IncomingMessage): boolean;
}

/** What is known of a response while it is on its way. */
interface Watched {
  readonly request: IncomingMessage;
  /** Until the response is closed: Node keeps responses for a while, and with them it would keep everything of the request. */
  stream: InboundStream | undefined;
  readonly watch: ResponseWatch;
  readonly http2: boolean;
  /** `content-length` of the request. */
  readonly length: string | undefined;
  /** The response's own methods, as they were. */
  readonly writeHead: (status: number, ...rest: unknown[]) => ServerResponse;
  readonly write: (chunk: unknown, encoding: unknown, done: unknown) => boolean;
  readonly end: (chunk: unknown, encoding: unknown, done: unknown) => ServerResponse;
  received: number;
  sent: number;
  encoded: boolean;
  /** A filter may want the body: its head has to be told before the first byte. */
  readonly filters: boolean;
  filtered: FilteredResponse | undefined;
  /** Ended by the mesh while the handler may have been at work. */
  refused: boolean;
}

const watched = Symbol('weft.response');
type WatchedResponse = ServerResponse & { [watched]: Watched };

/**
 * The methods are replaced on the object, because frameworks (Express) give it another prototype; by functions that all responses
 * share, because this runs for every request.
 */
export function watchResponse(request: IncomingMessage, response: ServerResponse, stream: InboundStream, watch: ResponseWatch): void {
  const http2 = request.httpVersionMajor >= 2;
  const own = response as unknown as Pick<Watched, 'writeHead' | 'write' | 'end'> & { [watched]: Watched };
  const { 'content-length': length, 'transfer-encoding': transferEncoding } = request.headers;
  const state: Watched = { request, stream, watch, http2, length, writeHead: own.writeHead, write: own.write, end: own.end, received: 0, sent: 0, encoded: false, filters: stream.filtersResponse, filtered: undefined, refused: false };
  own[watched] = state;
  const replaced = own as unknown as Record<'writeHead' | 'write' | 'end', unknown>;
  replaced.writeHead = watchedWriteHead;
  replaced.write = watchedWrite;
  // HTTP/2's `end` calls `write` itself.
  if (!http2 || state.filters) replaced.end = watchedEnd;
  // Without a length the bytes have to be counted; HTTP/1 then has a body only where it is chunked.
  if (stream.limited || (length === undefined && (http2 || transferEncoding !== undefined))) countBody(request, state);
  if (stream.limited) stream.progress = progressOf(request, state);
  stream.abort = (reply) => {
    if (response.headersSent) return response.destroy();
    state.refused = true;
    // What is still to come of the request is not worth waiting for.
    if (!request.complete) response.shouldKeepAlive = false;
    sendReply(response, reply, stream);
    mute(response);
  };
  response.on('close', onClose);
}

function watchedWriteHead(this: WatchedResponse, status: number, reason?: string | Head, head?: Head): ServerResponse {
  const { request, writeHead, http2, watch, stream, encoded } = this[watched];
  // Informational responses are not the answer.
  if (encoded || status < 200 || !stream) return writeHead.call(this, status, reason, head);
  this[watched].encoded = true;
  setHeaders(this, typeof reason === 'string' ? head : reason);
  const pipe = encode(this, stream, status);
  if (pipe) this[watched].filtered = new FilteredResponse(this, pipe, this[watched]);
  if (!http2 && watch.closing(request)) this.setHeader('connection', 'close');
  return typeof reason === 'string' && !http2 ? writeHead.call(this, this.statusCode, reason) : writeHead.call(this, this.statusCode);
}

function watchedWrite(this: WatchedResponse, chunk: unknown, encoding: unknown, done: unknown): boolean {
  const state = this[watched];
  if (state.filters && !state.encoded) this.writeHead(this.statusCode);
  if (state.filtered) return state.filtered.write(chunk, encoding, done);
  state.sent += sizeOf(chunk, encoding);
  return state.write.call(this, chunk, encoding, done);
}

function watchedEnd(this: WatchedResponse, chunk: unknown, encoding: unknown, done: unknown): ServerResponse {
  const state = this[watched];
  if (state.filters && !state.encoded) sendHead(this, state, chunk, encoding);
  if (state.filtered) return state.filtered.end(chunk, encoding, done);
  if (!state.http2) state.sent += sizeOf(chunk, encoding);
  return state.end.call(this, chunk, encoding, done);
}

/** Says what Node would have said of a body that is all there. */
function sendHead(response: WatchedResponse, { http2, request }: Watched, chunk: unknown, encoding: unknown): void {
  const { statusCode } = response;
  if (!http2 && request.method !== 'HEAD' && statusCode !== 204 && statusCode !== 304 && !response.hasHeader('content-length') && !response.hasHeader('transfer-encoding')) response.setHeader('content-length', sizeOf(chunk, encoding));
  response.writeHead(statusCode);
}

function onClose(this: ServerResponse): void {
  const { [watched]: state } = this as WatchedResponse;
  const { stream, watch, length, received, filtered } = state;
  const sent = filtered?.sent ?? state.sent;
  if (!stream) return;
  state.stream = undefined;
  stream.abort = undefined;
  const { localReply, protocol } = stream.info;
  const end = { status: this.headersSent ? this.statusCode : 0, cancelled: wasCancelled(this, state), bytesReceived: length === undefined ? received : Number(length), bytesSent: sent };
  stream.end(localReply && protocol === 'grpc' ? { ...end, grpcStatus: grpcStatusOf(localReply) } : end);
  watch.requests.end();
  // A handler that waits for the rest of the body waits no longer. Not where nobody ever read: Node throws that away itself.
  if (state.refused && !state.request.readableEnded && !state.request.destroyed) state.request.destroy();
}

/** A response of HTTP/2 calls itself finished as soon as its stream is gone. */
function wasCancelled(response: ServerResponse, { http2, request }: Watched): boolean {
  if (!http2) return !response.writableFinished;
  return !response.writableEnded || request.aborted || ((request as unknown as Http2ServerRequest).stream.rstCode ?? 0) !== 0;
}

function progressOf(request: IncomingMessage, state: Watched): InboundProgress {
  return {
    get requestComplete() {
      return request.complete;
    },
    get bytes() {
      return state.received + (state.filtered?.sent ?? state.sent);
    },
  };
}

function countBody(request: IncomingMessage, state: Watched): void {
  const { push } = request;
  request.push = (chunk: unknown, encoding?: BufferEncoding) => {
    state.received += sizeOf(chunk, encoding);
    return push.call(request, chunk, encoding);
  };
}

/** Never throws: nobody would catch it, and it would be the end of the process. */
export function sendReply(response: ServerResponse, reply: LocalReply, stream: InboundStream | undefined): void {
  try {
    writeReply(response, reply, stream);
  } catch {
    // A header that cannot be sent, of a filter.
    if (response.headersSent) return void response.destroy();
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    response.writeHead(500, { 'content-length': '0' }).end();
  }
}

function writeReply(response: ServerResponse, reply: LocalReply, stream: InboundStream | undefined): void {
  if (stream?.info.protocol === 'grpc') {
    // Trailers-only: what a gRPC client understands.
    response.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': String(grpcStatusOf(reply)), 'grpc-message': grpcMessage(String(reply.body)) });
    response.end();
    return;
  }
  for (const [name, value] of reply.headers ?? []) response.appendHeader(name, value);
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
  if (body.length > 0 && !response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('content-length', body.length);
  response.writeHead(reply.status);
  response.end(body);
}

/** The handler may still be at work on an answer that nobody gets: what it does must not throw into it. */
function mute(response: ServerResponse): void {
  const own = response as unknown as Record<string, () => unknown>;
  for (const name of ['writeHead', 'setHeader', 'setHeaders', 'appendHeader', 'removeHeader', 'flushHeaders', 'addTrailers', 'end']) own[name] = () => response;
  own['write'] = () => false;
}

type Head = OutgoingHttpHeaders | OutgoingHttpHeader[];

function setHeaders(response: ServerResponse, head: Head | undefined): void {
  if (!head) return;
  if (!Array.isArray(head)) {
    for (const name of Object.keys(head)) if (head[name] !== undefined) response.setHeader(name, head[name]);
    return;
  }
  const pairs = Array.isArray(head[0]) ? (head as unknown as [string, string][]) : Array.from({ length: head.length / 2 }, (_, index) => [String(head[2 * index]), head[2 * index + 1] as string] as const);
  for (const name of new Set(pairs.map(([key]) => key.toLowerCase()))) response.removeHeader(name);
  for (const [name, value] of pairs) response.appendHeader(name, value);
}

function encode(response: ServerResponse, stream: InboundStream, status: number): BodyPipe | undefined {
  const report = stream.loadReport;
  if (report !== undefined && !response.hasHeader('endpoint-load-metrics')) response.setHeader('endpoint-load-metrics', report);
  const head = new OutgoingHead(response, status);
  const pipe = stream.encode(head);
  response.statusCode = head.status;
  head.apply();
  return pipe;
}

/** Headers are copied out only where something wants to see them. */
class OutgoingHead implements ResponseHead, OutgoingHeaders {
  status: number;
  readonly #response: ServerResponse;
  #headers: HeaderMap | undefined;
  #before: string[] | undefined;

  constructor(response: ServerResponse, status: number) {
    this.#response = response;
    this.status = status;
  }

  get headers(): HeaderMap {
    if (!this.#headers) {
      this.#headers = HeaderMap.from(this.#response.getHeaders() as Record<string, string>);
      this.#before = this.#headers.raw.slice();
    }
    return this.#headers;
  }

  setHeader(name: string, value: string): void {
    if (this.#headers) this.#headers.set(name, value);
    else this.#response.setHeader(name, value);
  }

  apply(): void {
    if (!this.#headers) return;
    diffHeaders(new HeaderMap(this.#before), this.#headers, {
      set: (name, values) => void this.#response.setHeader(name, values.length === 1 ? (values[0] as string) : values),
      remove: (name) => this.#response.removeHeader(name),
    });
  }
}

function sizeOf(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === 'string') return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
  return chunk instanceof Uint8Array ? chunk.byteLength : 0;
}
