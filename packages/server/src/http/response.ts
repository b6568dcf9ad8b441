// Watches one response: its head passes the engine before it leaves, its bytes are counted, its end is reported once.
import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { grpcStatusOf, HeaderMap, type InboundStream, type LocalReply } from '@weft/data-plane/internal';
import { grpcMessage } from '../grpc/grpc-message.js';

export interface ResponseWatch {
  /** Asked when the head goes out. */
  closing(): boolean;
  onEnd(): void;
}

export function watchResponse(request: IncomingMessage, response: ServerResponse, stream: InboundStream, watch: ResponseWatch): void {
  const http2 = request.httpVersionMajor >= 2;
  let received = 0;
  let sent = 0;
  let encoded = false;

  const writeHead = response.writeHead as (status: number, ...rest: unknown[]) => ServerResponse;
  const write = response.write as (...args: unknown[]) => boolean;
  const end = response.end as (...args: unknown[]) => ServerResponse;
  response.writeHead = ((status: number, reason?: string | Head, head?: Head) => {
    // Informational responses are not the answer.
    if (encoded || status < 200) return writeHead.call(response, status, reason, head);
    encoded = true;
    setHeaders(response, typeof reason === 'string' ? head : reason);
    encode(response, stream, status);
    if (!http2 && watch.closing()) response.setHeader('connection', 'close');
    return typeof reason === 'string' && !http2 ? writeHead.call(response, response.statusCode, reason) : writeHead.call(response, response.statusCode);
  }) as typeof response.writeHead;
  response.write = ((chunk: unknown, ...rest: unknown[]) => {
    sent += sizeOf(chunk, rest[0]);
    return write.call(response, chunk, ...rest);
  }) as typeof response.write;
  // HTTP/2's `end` calls `write` itself.
  if (!http2) {
    response.end = ((...args: unknown[]) => {
      sent += sizeOf(args[0], args[1]);
      return end.apply(response, args);
    }) as typeof response.end;
  }

  const length = request.headers['content-length'];
  if (length === undefined) {
    const { push } = request;
    request.push = (chunk: unknown, encoding?: BufferEncoding) => {
      received += sizeOf(chunk, encoding);
      return push.call(request, chunk, encoding);
    };
  }
  stream.abort = (reply) => (response.headersSent ? response.destroy() : sendReply(response, reply, stream));
  response.once('close', () => {
    const cancelled = !response.writableFinished;
    const grpcStatus = stream.info.localReply && stream.info.protocol === 'grpc' ? grpcStatusOf(stream.info.localReply) : undefined;
    stream.end({ status: response.headersSent ? response.statusCode : 0, cancelled, bytesReceived: length === undefined ? received : Number(length), bytesSent: sent, ...(grpcStatus !== undefined && { grpcStatus }) });
    watch.onEnd();
  });
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
  const old = new HeaderMap(before);
  const names = new Set([...old].map(([name]) => name));
  for (const [name] of headers) {
    if (names.delete(name) && headers.joined(name) === old.joined(name)) continue;
    const values = headers.all(name);
    response.setHeader(name, values.length === 1 ? (values[0] as string) : values);
  }
  for (const name of names) if (!headers.has(name)) response.removeHeader(name);
}

function sizeOf(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === 'string') return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
  return chunk instanceof Uint8Array ? chunk.byteLength : 0;
}
