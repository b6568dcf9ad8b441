// HTTP servers without a port of their own: they get connections from the mesh's listener.
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { LocalReply } from '@weft/data-plane/internal';
import { connectionOf, type AcceptedConnection } from '../listener/accepted-connection.js';
import type { HttpTarget } from '../target.js';
import { handleRequest, noChain, openStream, proceed, type NodeHandlerOptions } from './node-handler.js';

// Envoy's clients keep idle connections for an hour; the side that closes first should be the client, or requests race with the close.
const keepAliveTimeoutMs = 3_660_000;

export function createInnerServer(target: HttpTarget, options: NodeHandlerOptions): Server {
  const app = target.server;
  const server = createServer({
    ...(app && limitsOf(app)),
    keepAliveTimeout: keepAliveTimeoutMs,
    insecureHTTPParser: false,
  } as Parameters<typeof createServer>[0]);
  if (app) Object.assign(server, { timeout: app.timeout, maxHeadersCount: app.maxHeadersCount, maxRequestsPerSocket: app.maxRequestsPerSocket });
  const handle = (request: IncomingMessage, response: ServerResponse, next: () => void) => {
    const connection = connectionOf(request.socket);
    // Every connection came through the listener; one that did not has no identity to judge.
    if (!connection) return void request.socket.destroy();
    handleRequest(request, response, connection.info, options, next);
  };
  server.on('request', (request, response) => handle(request, response, () => target.dispatch(request, response)));
  server.on('checkContinue', (request, response) =>
    handle(request, response, () => {
      if (app?.emit('checkContinue', request, response)) return;
      response.writeContinue();
      target.dispatch(request, response);
    }));
  server.on('connect', (_request, socket: Duplex) => refuse(socket, { status: 405, body: 'CONNECT is not supported', details: 'connect_not_supported' }));
  if (app && app.listenerCount('upgrade') > 0) server.on('upgrade', (request, socket, head) => upgrade(request, socket, head, app, options));
  if (app && app.listenerCount('clientError') > 0) server.on('clientError', (error, socket) => app.emit('clientError', error, socket));
  // Without it none of Node's limits on slow requests runs: they are set up when a server begins to listen.
  server.emit('listening');
  return server;
}

/** The limits an application gave its own server; Node keeps the options it was made with as properties. */
function limitsOf(app: Server): object {
  const { maxHeaderSize, connectionsCheckingInterval } = app as Server & { maxHeaderSize?: number; connectionsCheckingInterval?: number };
  return {
    requestTimeout: app.requestTimeout,
    headersTimeout: app.headersTimeout,
    ...(maxHeaderSize !== undefined && { maxHeaderSize }),
    ...(connectionsCheckingInterval !== undefined && { connectionsCheckingInterval }),
  };
}

/** For frameworks that take HTTP/2 through node's compatibility API (Fastify). */
export function createInnerHttp2Server(target: HttpTarget, options: NodeHandlerOptions, current: () => AcceptedConnection | undefined): Http2Server {
  // Half of Node's defaults: a mesh client never resets streams in bursts.
  const server = createHttp2Server({ streamResetBurst: 500, streamResetRate: 33 } as Parameters<typeof createHttp2Server>[0]);
  server.on('session', (session) => {
    const connection = current();
    if (!connection) return session.destroy();
    connection.attach(session);
  });
  server.on('sessionError', () => {});
  server.on('request', (request, response) => {
    // Reset before it was told of: its end has been told, too, and nobody would hear of it again.
    if (request.stream.destroyed || request.stream.closed) return;
    const session = request.stream.session;
    const connection = session && connectionOf(session);
    if (!connection) return request.stream.destroy();
    const [nodeRequest, nodeResponse] = [request as unknown as IncomingMessage, response as unknown as ServerResponse];
    handleRequest(nodeRequest, nodeResponse, connection.info, options, () => target.dispatch(nodeRequest, nodeResponse));
  });
  return server;
}

/** Policy comes before the protocol changes: afterwards nothing can be judged (security.md T10). */
function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, app: Server, options: NodeHandlerOptions): void {
  const connection = connectionOf(request.socket);
  if (!connection) return void socket.destroy();
  const chain = options.inbound.chainFor(connection.info);
  if (!chain) return refuse(socket, noChain(options.inbound));
  const opened = openStream(request, connection.info, chain, options, undefined, request.headers.upgrade);
  const { stream, result } = opened;
  options.requests.begin();
  let status = 101;
  let answered = false;
  const { bytesRead, bytesWritten } = request.socket;
  onFirstWrite(socket, (text) => {
    answered = true;
    status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? status);
  });
  stream.abort = () => socket.destroy();
  if (stream.limited) stream.progress = { get requestComplete() { return answered; }, get bytes() { return request.socket.bytesRead + request.socket.bytesWritten; } };
  socket.once('close', () => {
    stream.end({ status, cancelled: false, bytesReceived: request.socket.bytesRead - bytesRead + head.length, bytesSent: request.socket.bytesWritten - bytesWritten });
    options.requests.end();
  });
  const settle = (reply: LocalReply | undefined) => {
    // A filter may have ended it while others were asked.
    if (socket.destroyed) return;
    const refused = reply ?? proceed(request, opened);
    if (!refused) return stream.run(() => void app.emit('upgrade', request, socket, head));
    refuse(socket, refused);
  };
  if (result instanceof Promise) result.then(settle, () => socket.destroy());
  else settle(result);
}

/** The application answers the handshake by itself, in whichever of two ways. */
function onFirstWrite(socket: Duplex, onText: (text: string) => void): void {
  const { write, end } = socket;
  const watch = <T extends typeof write | typeof end>(method: T): T => ((...args: [never, never, never]) => {
    Object.assign(socket, { write, end });
    if (typeof args[0] === 'string' || ArrayBuffer.isView(args[0])) onText(String(args[0]).slice(0, 16));
    return (method as typeof write).apply(socket, args);
  }) as unknown as T;
  Object.assign(socket, { write: watch(write), end: watch(end) });
}

function refuse(socket: Duplex, { status, body }: LocalReply): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${String(body)}`, () => socket.destroy());
}
