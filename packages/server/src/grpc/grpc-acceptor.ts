// Serves a grpc.Server on connections of the mesh's listener.
import type { Socket } from 'node:net';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import type { Drain, InboundListener, LocalReply } from '@weft/data-plane/internal';
import { connectionOf, type AcceptedConnection } from '../listener/accepted-connection.js';
import { captureHttp2Server } from './capture-http2.js';
import { loadGrpc } from './grpc-js.js';
import { admit } from './grpc-options.js';
import { applyStreamHead, openStreamBody, replyToStream, streamBodies, streamHead, watchStream } from './grpc-stream.js';

export interface GrpcAcceptorOptions {
  readonly inbound: InboundListener;
  readonly requests: Drain;
}

export class GrpcAcceptor {
  readonly #injector: ReturnType<Server['createConnectionInjector']>;
  #accepting: AcceptedConnection | undefined;

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
      connection.attach(session);
    });
    const serve = http2.listeners('stream') as ((...args: unknown[]) => void)[];
    if (serve.length === 0) throw new Error('this version of @grpc/grpc-js does not serve streams as expected');
    http2.removeAllListeners('stream');
    http2.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]) => {
      stream.on('error', ignore);
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
}

// An error of a stream ends the process where nobody listens; its end is seen by `close`.
const ignore = () => {};

function judge(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: string[], { inbound, requests }: GrpcAcceptorOptions, serve: () => void): void {
  const connection = stream.session && connectionOf(stream.session);
  if (!connection) return stream.close(8);
  const protocol = headers['content-type']?.startsWith('application/grpc') ? 'grpc' : 'http';
  const chain = inbound.chainFor(connection.info);
  if (!chain) return replyToStream(stream, { status: 503, grpcStatus: 14, body: 'this connection is not allowed by the mesh', details: 'filter_chain_not_found' }, undefined, protocol);
  const { head, refusal } = streamHead(headers, rawHeaders, connection.info.tls);
  const inboundStream = inbound.open(chain, connection.info, head, { httpVersion: 'HTTP/2', bodies: streamBodies, message: stream });
  requests.begin();
  const result = refusal ? inboundStream.refuse(refusal) : inboundStream.decode();
  watchStream(stream, inboundStream, requests);
  const settle = (reply: LocalReply | undefined) => {
    // A filter may have ended it while others were asked.
    if (stream.destroyed || stream.headersSent) return;
    if (reply) return replyToStream(stream, reply, undefined, protocol);
    applyStreamHead(headers, head);
    inboundStream.run(() => admit(serve));
    openStreamBody(stream);
  };
  if (result instanceof Promise) result.then(settle, () => stream.close(2));
  else settle(result);
}
