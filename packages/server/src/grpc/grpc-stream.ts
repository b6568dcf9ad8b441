// One gRPC call at the HTTP/2 stream: below grpc-js, so that calls of unknown methods are judged and counted too.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { grpcStatusOf, HeaderMap, type InboundStream, type LocalReply, type RequestHead } from '@weft/data-plane/internal';
import { grpcMessage } from './grpc-message.js';

/** With a reply where the request has no single meaning. */
export function streamHead(headers: IncomingHttpHeaders, rawHeaders: readonly string[], secure: boolean): { head: RequestHead; refusal?: LocalReply } {
  const list = new HeaderMap(rawHeaders.filter((_, index) => !(rawHeaders[index - (index % 2)] as string).startsWith(':')).slice());
  const authority = headers[':authority'];
  const host = list.get('host');
  const protocol = list.get('content-type')?.startsWith('application/grpc') ? 'grpc' : 'http';
  const head: RequestHead = { protocol, method: headers[':method'] ?? '', scheme: secure ? 'https' : 'http', authority: authority ?? host ?? '', path: headers[':path'] ?? '', headers: list };
  const twoAuthorities = authority !== undefined && host !== undefined && authority !== host;
  return { head, ...(twoAuthorities && { refusal: { status: 400, body: 'two authorities', details: 'two_authorities' } }) };
}

/** What grpc-js reads afterwards is what policies judged. */
export function applyStreamHead(headers: IncomingHttpHeaders, head: RequestHead): void {
  headers[':path'] = head.path;
  for (const name of Object.keys(headers)) if (!name.startsWith(':') && !head.headers.has(name)) delete headers[name];
  for (const [name] of head.headers) {
    const value = head.headers.joined(name) as string;
    if (headers[name] === undefined || (typeof headers[name] === 'string' && headers[name].replaceAll(', ', ',') !== value.replaceAll(', ', ','))) headers[name] = value;
  }
}

export function replyToStream(stream: ServerHttp2Stream, reply: LocalReply, inbound: InboundStream | undefined, protocol: 'http' | 'grpc'): void {
  if (stream.destroyed) return;
  const body = String(reply.body);
  const headers: OutgoingHttpHeaders =
    protocol === 'grpc'
      ? { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(grpcStatusOf(reply)), 'grpc-message': grpcMessage(body) }
      : { ':status': reply.status, 'content-type': 'text/plain; charset=utf-8' };
  if (inbound) encodeHeaders(inbound, headers);
  if (protocol === 'grpc') stream.respond(headers, { endStream: true });
  else {
    stream.respond(headers);
    stream.end(body);
  }
  // Nobody reads the request any more: what is still to come must not fill the window and hold the stream open.
  stream.resume();
}

/** Watches what grpc-js does with the stream, and runs all its events in the request's context. */
export function watchStream(stream: ServerHttp2Stream, inbound: InboundStream, onEnd: () => void): void {
  let status = 0;
  let grpcStatus: number | undefined;
  let received = 0;
  let sent = 0;
  const readStatus = (headers: OutgoingHttpHeaders | undefined) => {
    const value = headers?.['grpc-status'];
    if (value !== undefined) grpcStatus = Number(value);
  };
  const { respond, sendTrailers, write, end } = stream as unknown as Record<'respond' | 'sendTrailers' | 'write' | 'end', (...args: unknown[]) => unknown>;
  const patched = stream as unknown as Record<string, unknown>;
  patched['respond'] = (headers: OutgoingHttpHeaders = {}, ...rest: unknown[]) => {
    const own = { ...headers };
    encodeHeaders(inbound, own);
    status = Number(own[':status'] ?? 200);
    readStatus(own);
    return respond.call(stream, own, ...rest);
  };
  patched['sendTrailers'] = (trailers: OutgoingHttpHeaders) => {
    readStatus(trailers);
    return sendTrailers.call(stream, trailers);
  };
  patched['write'] = (chunk: unknown, ...rest: unknown[]) => {
    sent += chunk instanceof Uint8Array ? chunk.byteLength : 0;
    return write.call(stream, chunk, ...rest);
  };
  patched['end'] = (...args: unknown[]) => {
    sent += args[0] instanceof Uint8Array ? args[0].byteLength : 0;
    return end.apply(stream, args);
  };
  // Handlers run from events of the stream, which Node emits outside of any context of ours.
  const inContext = inbound.run(() => AsyncLocalStorage.snapshot());
  const { emit } = stream;
  stream.emit = ((event: string, ...args: unknown[]) => {
    if (event === 'data' && args[0] instanceof Uint8Array) received += args[0].byteLength;
    return inContext(() => emit.call(stream, event, ...args));
  }) as typeof stream.emit;
  inbound.abort = (reply) => (stream.headersSent ? stream.close(8) : replyToStream(stream, reply, inbound, inbound.info.protocol));
  stream.once('close', () => {
    const cancelled = stream.aborted || (inbound.info.protocol === 'grpc' && grpcStatus === undefined);
    inbound.end({ status, cancelled, bytesReceived: received, bytesSent: sent, ...(grpcStatus !== undefined && { grpcStatus }) });
    onEnd();
  });
}

function encodeHeaders(inbound: InboundStream, headers: OutgoingHttpHeaders): void {
  let list: HeaderMap | undefined;
  const head = {
    status: Number(headers[':status'] ?? 200),
    get headers() {
      return (list ??= HeaderMap.from(Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':'))) as Record<string, string>));
    },
  };
  inbound.encode(head);
  headers[':status'] = head.status;
  if (!list) return;
  for (const name of Object.keys(headers)) if (!name.startsWith(':') && !list.has(name)) delete headers[name];
  for (const [name] of list) {
    const values = list.all(name);
    headers[name] = values.length === 1 ? values[0] : values;
  }
}
