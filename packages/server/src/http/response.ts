// Watches one response: its head passes the engine before it leaves, its bytes are counted, its end is reported once.
import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { grpcStatusOf, HeaderMap, type InboundStream, type LocalReply } from '@weft/data-plane/internal';
import { grpcMessage } from '../grpc/grpc-message.js';
import { diffHeaders } from './diff-headers.js';

export interface ResponseWatch {
  /** Asked when the head goes out. */
  closing(): boolean;
  onEnd(): void;
}

/** What is known of a response while it is on its way. */
interface Watched {
  readonly request: IncomingMessage;
  /** Until the response is closed: Node keeps responses for a while, and with them it would keep everything of the request. */
  stream: InboundStream | undefined;
  readonly watch: ResponseWatch;
  readonly http2: boolean;
  /** The response's own methods, as they were. */
  readonly methods: Methods;
  received: number;
  sent: number;
  encoded: boolean;
}

interface Methods {
  writeHead(status: number, ...rest: unknown[]): ServerResponse;
  write(...args: unknown[]): boolean;
  end(...args: unknown[]): ServerResponse;
}

const watched = Symbol('weft.response');
type WatchedResponse = ServerResponse & { [watched]: Watched };

/**
 * The methods are replaced on the object, because frameworks (Express) give it another prototype; by functions that all responses
 * share, because this runs for every request.
 */
export function watchResponse(request: IncomingMessage, response: ServerResponse, stream: InboundStream, watch: ResponseWatch): void {
  const http2 = request.httpVersionMajor >= 2;
  const { writeHead, write, end } = response as unknown as Methods;
  const state: Watched = { request, stream, watch, http2, methods: { writeHead, write, end }, received: 0, sent: 0, encoded: false };
  const own = response as unknown as { [watched]: Watched } & Record<keyof Methods, unknown>;
  own[watched] = state;
  own.writeHead = watchedWriteHead;
  own.write = watchedWrite;
  // HTTP/2's `end` calls `write` itself.
  if (!http2) own.end = watchedEnd;
  // Without a length the bytes have to be counted; HTTP/1 then has a body only where it is chunked.
  if (request.headers['content-length'] === undefined && (http2 || request.headers['transfer-encoding'] !== undefined)) countBody(request, state);
  stream.abort = (reply) => (response.headersSent ? response.destroy() : sendReply(response, reply, stream));
  response.on('close', onClose);
}

function watchedWriteHead(this: WatchedResponse, status: number, reason?: string | Head, head?: Head): ServerResponse {
  const { [watched]: state } = this;
  const { methods: { writeHead }, http2, watch, stream } = state;
  // Informational responses are not the answer.
  if (state.encoded || status < 200 || !stream) return writeHead.call(this, status, reason, head);
  state.encoded = true;
  setHeaders(this, typeof reason === 'string' ? head : reason);
  encode(this, stream, status);
  if (!http2 && watch.closing()) this.setHeader('connection', 'close');
  return typeof reason === 'string' && !http2 ? writeHead.call(this, this.statusCode, reason) : writeHead.call(this, this.statusCode);
}

function watchedWrite(this: WatchedResponse, ...args: unknown[]): boolean {
  this[watched].sent += sizeOf(args[0], args[1]);
  return this[watched].methods.write.apply(this, args);
}

function watchedEnd(this: WatchedResponse, ...args: unknown[]): ServerResponse {
  this[watched].sent += sizeOf(args[0], args[1]);
  return this[watched].methods.end.apply(this, args);
}

function onClose(this: ServerResponse): void {
  const { [watched]: state } = this as WatchedResponse;
  const { request, stream, watch, received, sent } = state;
  if (!stream) return;
  state.stream = undefined;
  stream.abort = undefined;
  const length = request.headers['content-length'];
  const { localReply, protocol } = stream.info;
  stream.end({
    status: this.headersSent ? this.statusCode : 0,
    cancelled: !this.writableFinished,
    bytesReceived: length === undefined ? received : Number(length),
    bytesSent: sent,
    ...(localReply && protocol === 'grpc' && { grpcStatus: grpcStatusOf(localReply) }),
  });
  watch.onEnd();
}

function countBody(request: IncomingMessage, state: Watched): void {
  const { push } = request;
  request.push = (chunk: unknown, encoding?: BufferEncoding) => {
    state.received += sizeOf(chunk, encoding);
    return push.call(request, chunk, encoding);
  };
}

export function sendReply(response: ServerResponse, reply: LocalReply, stream: InboundStream | undefined): void {
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

function encode(response: ServerResponse, stream: InboundStream, status: number): void {
  let headers: HeaderMap | undefined;
  let before: string[] = [];
  const head = {
    status,
    // Copied out only where something wants to see headers.
    get headers() {
      if (!headers) {
        headers = HeaderMap.from(response.getHeaders() as Record<string, string>);
        before = headers.raw.slice();
      }
      return headers;
    },
  };
  stream.encode(head);
  response.statusCode = head.status;
  if (!headers) return;
  diffHeaders(new HeaderMap(before), headers, {
    set: (name, values) => void response.setHeader(name, values.length === 1 ? (values[0] as string) : values),
    remove: (name) => response.removeHeader(name),
  });
}

function sizeOf(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === 'string') return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
  return chunk instanceof Uint8Array ? chunk.byteLength : 0;
}
