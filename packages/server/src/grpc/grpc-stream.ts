// One gRPC call at the HTTP/2 stream: below grpc-js, so that calls of unknown methods are judged and counted too.
import { AsyncResource } from 'node:async_hooks';
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { grpcStatusOf, HeaderMap, type BodyPipe, type Drain, type InboundBodies, type InboundProgress, type InboundStream, type LocalReply, type OutgoingHeaders, type RequestHead, type ResponseHead, type StreamInfo } from '@weft/data-plane/internal';
import { FilteredStream } from './filtered-stream.js';
import { grpcMessage } from './grpc-message.js';

/** With a reply where the request has no single meaning. */
export function streamHead(headers: IncomingHttpHeaders, rawHeaders: readonly string[], secure: boolean): { head: RequestHead; refusal?: LocalReply } {
  const raw: string[] = [];
  // Names are lower case on HTTP/2.
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) if ((rawHeaders[i] as string).charCodeAt(0) !== 58 /* : */) raw.push(rawHeaders[i] as string, rawHeaders[i + 1] as string);
  const list = new HeaderMap(raw);
  const authority = headers[':authority'];
  const host = list.get('host');
  const protocol = list.get('content-type')?.startsWith('application/grpc') ? 'grpc' : 'http';
  const head: RequestHead = { protocol, method: headers[':method'] ?? '', scheme: secure ? 'https' : 'http', authority: authority ?? host ?? '', path: headers[':path'] ?? '', headers: list };
  const twoAuthorities = authority !== undefined && host !== undefined && authority !== host;
  return twoAuthorities ? { head, refusal: { status: 400, body: 'two authorities', details: 'two_authorities' } } : { head };
}

/** What grpc-js reads afterwards is what policies judged. */
export function applyStreamHead(headers: IncomingHttpHeaders, head: RequestHead): void {
  headers[':path'] = head.path;
  const { raw } = head.headers;
  for (const name in headers) if (name.charCodeAt(0) !== 58 /* : */ && !head.headers.has(name)) delete headers[name];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const known = headers[name];
    // Headers that came once and stay are the same text.
    if (known === raw[i + 1]) continue;
    const value = head.headers.joined(name) as string;
    if (known === undefined || (typeof known === 'string' && known.replaceAll(', ', ',') !== value.replaceAll(', ', ','))) headers[name] = value;
  }
}

export function replyToStream(stream: ServerHttp2Stream, reply: LocalReply, protocol: StreamInfo['protocol']): void {
  if (isOver(stream)) return;
  const body = String(reply.body);
  const headers: OutgoingHttpHeaders =
    protocol === 'grpc'
      ? { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(grpcStatusOf(reply)), 'grpc-message': grpcMessage(body) }
      : { ':status': reply.status, 'content-type': 'text/plain; charset=utf-8' };
  for (const [name, value] of reply.headers ?? []) headers[name] = name in headers && name !== 'content-type' ? `${String(headers[name])}, ${value}` : value;
  if (protocol === 'grpc') stream.respond(headers, { endStream: true });
  else {
    stream.respond(headers);
    stream.end(body);
  }
  // Nobody reads the request any more: what is still to come must not fill the window and hold the stream open.
  stream.resume();
}

/**
 * A client may reset its stream before we, or grpc-js, have looked at it. Node then throws for whatever is sent, and in the events of a
 * session nobody catches that: a client could end the process.
 */
export function isOver(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

type Method = (...args: unknown[]) => unknown;

/** What is known of a stream while it is open. */
interface Watched {
  readonly inbound: InboundStream;
  readonly requests: Drain;
  /** Handlers run from events of the stream, which Node emits outside of any context of ours. */
  readonly context: AsyncResource;
  /** The stream's own methods, as they were. */
  readonly respond: Method;
  readonly sendTrailers: Method;
  readonly write: Method;
  readonly end: Method;
  readonly emit: Method;
  status: number;
  grpcStatus: number | undefined;
  received: number;
  sent: number;
  /** What the request's body passes before grpc-js sees it. */
  request: BodyPipe | undefined;
  response: FilteredStream | undefined;
}

const watched = Symbol('weft.stream');
type WatchedStream = ServerHttp2Stream & { [watched]: Watched };


const requestPipe = Symbol('weft.request-pipe');

export const streamBodies: InboundBodies<ServerHttp2Stream & { [requestPipe]?: BodyPipe; [watched]?: Watched }> = {
  hasBody: (stream) => !stream.endAfterHeaders,
  read(stream, pipe) {
    const [pause, resume] = [stream.pause.bind(stream), stream.resume.bind(stream)];
    pipe.source = { pause, resume };
    // grpc-js asks for one message at a time; from here on its wish and that of filters have to agree.
    stream.pause = () => (pipe.pause(), stream);
    stream.resume = () => (pipe.resume(), stream);
    const state = stream[watched];
    if (state) state.request = pipe;
    else stream[requestPipe] = pipe;
    // Filters want to see it before grpc-js does.
    process.nextTick(resume);
  },
};

/** Once grpc-js listens. */
export function openStreamBody(stream: ServerHttp2Stream): void {
  const state = (stream as WatchedStream)[watched];
  if (!state.request) return;
  const give = (event: string, ...args: unknown[]) => void state.context.runInAsyncScope(state.emit, stream, event, ...args);
  state.request.open({ data: (chunk) => give('data', chunk), end: () => give('end') });
}

/**
 * Watches what grpc-js does with the stream, and runs all its events in the request's context. Its methods are replaced by functions
 * that all streams share, because this runs for every call.
 */
export function watchStream(stream: ServerHttp2Stream, inbound: InboundStream, requests: Drain): void {
  const own = stream as unknown as Record<'respond' | 'sendTrailers' | 'write' | 'end' | 'emit', Method> & { [watched]: Watched; [requestPipe]?: BodyPipe };
  const { respond, sendTrailers, write, end, emit } = own;
  own[watched] = { inbound, requests, context: inbound.run(currentResource), respond, sendTrailers, write, end, emit, status: 0, grpcStatus: undefined, received: 0, sent: 0, request: own[requestPipe], response: undefined };
  inbound.abort = (reply) => {
    if (stream.headersSent) return stream.close(8);
    replyToStream(stream, reply, inbound.info.protocol);
    // Once the answer is out: the rest of the request is not worth waiting for.
    stream.close(0);
    mute(stream);
  };
  if (inbound.limited) inbound.progress = progressOf(stream, own[watched]);
  stream.once('close', onClose);
  own.respond = watchedRespond as Method;
  own.sendTrailers = watchedTrailers as Method;
  own.write = watchedWrite as Method;
  own.end = watchedEnd as Method;
  own.emit = watchedEmit as Method;
}

function progressOf(stream: ServerHttp2Stream, state: Watched): InboundProgress {
  return {
    get requestComplete() {
      return stream.endAfterHeaders || stream.readableEnded;
    },
    get bytes() {
      return state.received + state.sent;
    },
  };
}

/** The handler may still be at work on an answer that nobody gets: what it does must not throw into grpc-js. */
function mute(stream: ServerHttp2Stream): void {
  const own = stream as unknown as Record<string, () => unknown>;
  for (const name of ['respond', 'sendTrailers', 'end']) own[name] = () => stream;
  own['write'] = () => false;
}

// Much cheaper than a snapshot of AsyncLocalStorage, which is a bound function.
const currentResource = () => new AsyncResource('WEFTGRPCCALL');

function watchedRespond(this: WatchedStream, headers: OutgoingHttpHeaders | undefined, options: unknown): unknown {
  if (isOver(this)) return undefined;
  const state = this[watched];
  const own = { ...headers };
  // Only trailers.
  if (own['grpc-status'] !== undefined) reportLoad(state.inbound, own);
  const pipe = encodeHeaders(state.inbound, own);
  if (pipe) state.response = new FilteredStream(this, pipe, state);
  state.status = Number(own[':status'] ?? 200);
  readStatus(state, own);
  return state.respond.call(this, own, options);
}

function watchedTrailers(this: WatchedStream, trailers: OutgoingHttpHeaders): unknown {
  if (isOver(this)) return undefined;
  readStatus(this[watched], trailers);
  reportLoad(this[watched].inbound, trailers);
  if (this[watched].response) return this[watched].response.trailers(trailers);
  return this[watched].sendTrailers.call(this, trailers);
}

function watchedWrite(this: WatchedStream, chunk: unknown, encoding: unknown, done: unknown): unknown {
  const state = this[watched];
  if (state.response) return state.response.write(chunk, encoding, done);
  if (chunk instanceof Uint8Array) state.sent += chunk.byteLength;
  return state.write.call(this, chunk, encoding, done);
}

function watchedEnd(this: WatchedStream, chunk: unknown, encoding: unknown, done: unknown): unknown {
  const state = this[watched];
  if (state.response) return state.response.end(chunk);
  if (chunk instanceof Uint8Array) state.sent += chunk.byteLength;
  return state.end.call(this, chunk, encoding, done);
}

function watchedEmit(this: WatchedStream, event: string, ...args: unknown[]): unknown {
  const state = this[watched];
  if (event === 'data' && args[0] instanceof Uint8Array) state.received += args[0].byteLength;
  if (state.request) {
    if (event === 'data') return void state.request.write(args[0] as Uint8Array);
    // Where it takes nothing any more the stream still has to end.
    if (event === 'end' && !state.request.closed) return state.request.end();
  }
  if (state.response && event === 'wantTrailers') return state.response.wantTrailers();
  // Most of a stream's events nobody listens to, or only the stream itself.
  if (event === 'newListener' || event === 'removeListener' || this.listenerCount(event) === 0) return state.emit.call(this, event, ...args);
  return state.context.runInAsyncScope(state.emit, this, event, ...args);
}

function onClose(this: ServerHttp2Stream): void {
  const { inbound, requests, status, grpcStatus, received, sent } = (this as WatchedStream)[watched];
  inbound.abort = undefined;
  const cancelled = this.aborted || (inbound.info.protocol === 'grpc' && grpcStatus === undefined);
  const end = { status, cancelled, bytesReceived: received, bytesSent: sent };
  inbound.end(grpcStatus === undefined ? end : { ...end, grpcStatus });
  requests.end();
}

function reportLoad({ loadReport }: InboundStream, trailers: OutgoingHttpHeaders): void {
  if (loadReport !== undefined) trailers['endpoint-load-metrics-bin'] ??= loadReport;
}

function readStatus(state: Watched, headers: OutgoingHttpHeaders | undefined): void {
  const value = headers?.['grpc-status'];
  if (value !== undefined) state.grpcStatus = Number(value);
}

function encodeHeaders(inbound: InboundStream, headers: OutgoingHttpHeaders): BodyPipe | undefined {
  const head = new OutgoingHead(headers);
  const pipe = inbound.encode(head);
  head.apply();
  return pipe;
}

/** Headers become a list only where something wants to see them. */
class OutgoingHead implements ResponseHead, OutgoingHeaders {
  status: number;
  readonly grpcStatus?: number;
  readonly #fields: OutgoingHttpHeaders;
  #headers: HeaderMap | undefined;

  constructor(fields: OutgoingHttpHeaders) {
    this.#fields = fields;
    this.status = Number(fields[':status'] ?? 200);
    if (fields['grpc-status'] !== undefined) this.grpcStatus = Number(fields['grpc-status']);
  }

  get headers(): HeaderMap {
    this.#headers ??= HeaderMap.from(Object.fromEntries(Object.entries(this.#fields).filter(([name]) => !name.startsWith(':'))) as Record<string, string>);
    return this.#headers;
  }

  setHeader(name: string, value: string): void {
    if (this.#headers) this.#headers.set(name, value);
    else this.#fields[name] = value;
  }

  apply(): void {
    const fields = this.#fields;
    fields[':status'] = this.status;
    const list = this.#headers;
    if (!list) return;
    for (const name of Object.keys(fields)) if (!name.startsWith(':') && !list.has(name)) delete fields[name];
    for (const [name] of list) {
      const values = list.all(name);
      fields[name] = values.length === 1 ? values[0] : values;
    }
  }
}
