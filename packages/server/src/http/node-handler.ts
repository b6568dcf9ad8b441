// From a node request through the inbound engine to the application's handler.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ConnectionInfo, Drain, FilterChainRuntime, FilterResult, InboundListener, InboundStream, LocalReply, RequestHead, RouterSpelling } from '@weft/data-plane/internal';
import { applyHead, requestHead } from './request-head.js';
import { holdBody, isGone, nodeBodies, openBody } from './request-intake.js';
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
  const chain = options.inbound.chainFor(connection);
  if (!chain) return sendReply(response, noChain(options.inbound), undefined);
  const opened = openStream(request, connection, chain, options, response);
  const { stream, result } = opened;
  options.requests.begin();
  watchResponse(request, response, stream, options);
  if (!(result instanceof Promise)) return settle(request, response, opened, result, next);
  holdBody(request);
  result.then((reply) => settle(request, response, opened, reply, next), () => response.destroy());
}

function settle(request: IncomingMessage, response: ServerResponse, opened: OpenedStream, reply: LocalReply | undefined, next: () => void): void {
  // A filter may have ended it while others were asked.
  if (response.destroyed || response.headersSent || isGone(request)) return;
  const refused = reply ?? proceed(request, opened);
  if (refused) sendReply(response, refused, opened.stream);
  else opened.stream.run(next);
}

export interface OpenedStream {
  readonly stream: InboundStream;
  readonly result: FilterResult;
  readonly head: RequestHead;
  /** The path as it came, where it may not become another. */
  readonly fixedPath: string | undefined;
}

export function openStream(request: IncomingMessage, connection: ConnectionInfo, chain: FilterChainRuntime, { inbound, router, pathIsFixed }: NodeHandlerOptions, response?: ServerResponse, upgrade?: string): OpenedStream {
  const { head, refusal } = requestHead(request, connection.tls, upgrade);
  const fixedPath = pathIsFixed ? head.path : undefined;
  const stream = inbound.open(chain, connection, head, { httpVersion: httpVersion(request), router, bodies: response && nodeBodies, message: response });
  return { stream, head, fixedPath, result: refusal ? stream.refuse(refusal) : stream.decode() };
}

/** Writes what the engine changed into the request; a reply where that is not possible any more. */
export function proceed(request: IncomingMessage, { stream, head, fixedPath }: OpenedStream): LocalReply | undefined {
  if (fixedPath !== undefined && head.path !== fixedPath) return stream.refuse({ status: 400, body: 'the request path is not normal', details: 'path_not_normal' });
  openBody(request, head);
  applyHead(request, head);
  return undefined;
}

/** For connections that no filter chain takes. */
export function noChain({ tlsMode }: InboundListener): LocalReply {
  const reason = tlsMode === 'unknown' ? 'no inbound configuration' : 'this connection is not allowed by the mesh: mutual TLS is required';
  return { status: tlsMode === 'unknown' ? 503 : 403, body: reason, details: 'filter_chain_not_found', headers: [['connection', 'close']] };
}

function httpVersion({ httpVersionMajor, httpVersionMinor }: IncomingMessage): string {
  return httpVersionMajor >= 2 ? 'HTTP/2' : httpVersionMinor === 0 ? 'HTTP/1.0' : 'HTTP/1.1';
}
