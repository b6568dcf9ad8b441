// From a node request through the inbound engine to the application's handler.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ConnectionInfo, Drain, FilterResult, InboundListener, InboundStream, RouterSpelling } from '@weft/data-plane/internal';
import { applyHead, requestHead } from './request-head.js';
import { sendReply, watchResponse } from './response.js';

export interface NodeHandlerOptions {
  readonly inbound: InboundListener;
  readonly router: RouterSpelling;
  readonly requests: Drain;
  /** Whether this connection shall take no further request. */
  closing(request: IncomingMessage): boolean;
  /** Where the path cannot be changed any more before the application routes: one that is not normal is refused. */
  readonly pathIsFixed?: boolean;
}

/** `next` runs inside the request's context, once policy lets it. */
export function handleRequest(request: IncomingMessage, response: ServerResponse, connection: ConnectionInfo, options: NodeHandlerOptions, next: () => void): void {
  const opened = openStream(request, connection, options);
  if (!('stream' in opened)) return sendReply(response, opened, undefined);
  const { stream, proceed, result } = opened;
  options.requests.begin();
  watchResponse(request, response, stream, { closing: () => options.closing(request), onEnd: () => options.requests.end() });
  const settle = (reply: Awaited<FilterResult>) => {
    if (response.destroyed) return;
    const refused = reply ?? proceed();
    if (refused) sendReply(response, refused, stream);
    else stream.run(next);
  };
  if (result instanceof Promise) result.then(settle, () => response.destroy());
  else settle(result);
}

export interface OpenedStream {
  stream: InboundStream;
  result: FilterResult;
  /** Writes what the engine changed into the request; a reply where that is not possible any more. */
  proceed(): Awaited<FilterResult>;
}

export function openStream(request: IncomingMessage, connection: ConnectionInfo, { inbound, router, pathIsFixed }: NodeHandlerOptions): OpenedStream | NonNullable<Awaited<FilterResult>> {
  const chain = inbound.chainFor(connection);
  if (!chain) {
    const reason = inbound.tlsMode === 'unknown' ? 'no inbound configuration' : 'this connection is not allowed by the mesh: mutual TLS is required';
    return { status: inbound.tlsMode === 'unknown' ? 503 : 403, body: reason, details: 'filter_chain_not_found', headers: [['connection', 'close']] };
  }
  const { head, refusal } = requestHead(request, connection.tls);
  const before = head.headers.raw.slice();
  const original = head.path;
  const stream = inbound.open(chain, connection, head, { httpVersion: request.httpVersionMajor >= 2 ? 'HTTP/2' : `HTTP/${request.httpVersion}`, router });
  return {
    stream,
    result: refusal ? stream.refuse(refusal) : stream.decode(),
    proceed: () => {
      if (pathIsFixed && head.path !== original) return stream.refuse({ status: 400, body: 'the request path is not normal', details: 'path_not_normal' });
      applyHead(request, head, before);
      return undefined;
    },
  };
}
