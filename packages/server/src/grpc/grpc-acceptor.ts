// Serves a grpc.Server on connections of the mesh's listener.
import type { AsyncResource } from 'node:async_hooks';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import type { Drain, InboundListener, LocalReply } from '@weft/data-plane/internal';
import { connectionOf, type AcceptedConnection } from '../listener/accepted-connection.js';
import { GrpcWebBridge } from './grpc-web-bridge.js';
import { captureHttp2Server } from './capture-http2.js';
import { loadGrpc } from './grpc-js.js';
import { admit } from './grpc-options.js';
import { applyStreamHead, isOver, openStreamBody, replyToStream, streamBodies, streamHead, watchStream } from './grpc-stream.js';

export interface GrpcAcceptorOptions {
  readonly inbound: InboundListener;
  readonly requests: Drain;
}

export class GrpcAcceptor {
  readonly #injector: ReturnType<Server['createConnectionInjector']>;
  readonly #bridged = new WeakSet<ServerHttp2Session>();
  #accepting: AcceptedConnection | undefined;
  #bridging = false;
  /** For calls that came over HTTP/1.1, judged already. */
  readonly web = new GrpcWebBridge((socket, inner) => this.#acceptBridged(socket, inner));

  /** @throws where the server is of another copy of grpc-js than ours. */
  constructor(server: Server, options: GrpcAcceptorOptions) {
    const grpc = loadGrpc();
    if (!(server instanceof grpc.Server)) throw new TypeError('listen: the grpc.Server is of another copy of @grpc/grpc-js than @weft/server finds');
    // Half of Node's default burst: resetting streams quickly is an attack (CVE-2023-44487), a mesh client does not.
    const captured = captureHttp2Server(() => server.createConnectionInjector(grpc.ServerCredentials.createInsecure()), { streamResetBurst: 500, streamResetRate: 33 });
    this.#injector = captured.result;
    const http2 = captured.server;
    // First, because grpc-js answers on a session as soon as it sees it.
    http2.prependListener('session', (session: ServerHttp2Session) => {
      const connection = this.#accepting;
      if (!connection) return session.destroy();
      if (this.#bridging) this.#bridged.add(session);
      connection.attach(session);
    });
    const serve = http2.listeners('stream') as ((...args: unknown[]) => void)[];
    if (serve.length === 0) throw new Error('this version of @grpc/grpc-js does not serve streams as expected');
    http2.removeAllListeners('stream');
    http2.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]) => {
      stream.on('error', ignore);
      // Node tells of a stream a turn after it came, its end may have been told before: nobody would hear of it again.
      if (isOver(stream)) return;
      if (stream.session && this.#bridged.has(stream.session as ServerHttp2Session)) {
        return serveBridged(stream, this.web.contextOf(headers), () => {
          for (const fn of serve) fn.call(http2, stream, headers, flags, rawHeaders);
        });
      }
      judge(stream, headers, rawHeaders, options, () => {
        for (const fn of serve) fn.call(http2, stream, headers, flags, rawHeaders);
      });
    });
  }

  accept(connection: AcceptedConnection): void {
    this.#accepting = connection;
    this.#injector.injectConnection(connection.socket as Socket);
    this.#accepting = undefined;
  }

  close(): void {
    this.#injector.destroy();
  }

  #acceptBridged(socket: Socket, inner: Duplex): void {
    const connection = connectionOf(socket);
    if (!connection) return void inner.destroy();
    this.#accepting = connection;
    this.#bridging = true;
    this.#injector.injectConnection(inner);
    this.#bridging = false;
    this.#accepting = undefined;
  }
}

// An error of a stream ends the process where nobody listens; its end is seen by `close`.
const ignore = () => {};

/** In the context of the request that it stands for: of the handler, and of all events of the stream. */
function serveBridged(stream: ServerHttp2Stream, context: AsyncResource | undefined, serve: () => void): void {
  if (!context) return stream.close(8);
  const { emit } = stream;
  stream.emit = (...args: Parameters<typeof emit>) => context.runInAsyncScope(emit, stream, ...args);
  context.runInAsyncScope(() => admit(serve));
}

function judge(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: string[], { inbound, requests }: GrpcAcceptorOptions, serve: () => void): void {
  const connection = stream.session && connectionOf(stream.session);
  if (!connection) return stream.close(8);
  const protocol = headers['content-type']?.startsWith('application/grpc') ? 'grpc' : 'http';
  const chain = inbound.chainFor(connection.info);
  if (!chain) return replyToStream(stream, { status: 503, grpcStatus: 14, body: 'this connection is not allowed by the mesh', details: 'filter_chain_not_found' }, protocol);
  const { head, refusal } = streamHead(headers, rawHeaders, connection.info.tls);
  const inboundStream = inbound.open(chain, connection.info, head, { httpVersion: 'HTTP/2', bodies: streamBodies, message: stream });
  requests.begin();
  const result = refusal ? inboundStream.refuse(refusal) : inboundStream.decode();
  watchStream(stream, inboundStream, requests);
  const settle = (reply: LocalReply | undefined) => {
    // A filter may have ended it while others were asked.
    if (isOver(stream) || stream.headersSent) return;
    if (reply) return replyToStream(stream, reply, protocol);
    applyStreamHead(headers, head);
    inboundStream.run(() => admit(serve));
    openStreamBody(stream);
  };
  if (result instanceof Promise) result.then(settle, () => stream.close(2));
  else settle(result);
}
