// gRPC-Web over HTTP/1.1: the filter has made a gRPC call of the request, this brings it to the grpc.Server, which speaks HTTP/2 only.
import { AsyncResource } from 'node:async_hooks';
import { connect, type ClientHttp2Session, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { duplexPair, type Duplex } from 'node:stream';

/** Of one hop only (RFC 9110 §7.6.1), or said in another way over HTTP/2. */
const hopHeaders = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host', 'content-length', 'http2-settings', 'expect']);

/** Names the request on a session between us and ourselves. */
export const bridgeHeader = 'x-weft-bridged-call';

export class GrpcWebBridge {
  readonly #accept: (socket: Socket, inner: Duplex) => void;
  /** One a connection, so that it ends with it. */
  readonly #sessions = new WeakMap<Socket, ClientHttp2Session>();
  readonly #contexts = new Map<string, AsyncResource>();
  #calls = 0;

  /** @param accept serves the inner end of a connection that came over HTTP/1.1. */
  constructor(accept: (socket: Socket, inner: Duplex) => void) {
    this.#accept = accept;
  }

  /** Whether the filter made this of a request. */
  static takes({ headers }: IncomingMessage): boolean {
    return headers['content-type'] === 'application/grpc' && headers.te === 'trailers';
  }

  /** The context of the request that a call stands for. Once a call. */
  contextOf(headers: IncomingHttpHeaders): AsyncResource | undefined {
    const id = headers[bridgeHeader] as string;
    const context = this.#contexts.get(id);
    this.#contexts.delete(id);
    delete headers[bridgeHeader];
    return context;
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    const id = String(++this.#calls);
    this.#contexts.set(id, new AsyncResource('WEFTGRPCWEB'));
    const call = this.#session(request.socket).request(requestHeaders(request, id));
    call.on('response', (headers) => {
      response.writeHead(headers[':status'] ?? 200, plainHeaders(headers) as OutgoingHttpHeaders);
    });
    call.on('data', (chunk: Buffer) => {
      if (response.write(chunk)) return;
      call.pause();
      response.once('drain', () => call.resume());
    });
    call.on('trailers', (trailers) => response.addTrailers(plainHeaders(trailers) as never));
    call.on('end', () => response.end());
    call.on('error', () => response.destroy());
    call.on('close', () => {
      this.#contexts.delete(id);
      if (!response.writableEnded && call.rstCode !== 0) response.destroy();
    });
    response.on('close', () => {
      if (!response.writableFinished) call.close(8);
    });
    request.pipe(call);
  }

  #session(socket: Socket): ClientHttp2Session {
    let session = this.#sessions.get(socket);
    if (session && !session.closed && !session.destroyed) return session;
    const [outer, inner] = duplexPair();
    this.#accept(socket, inner);
    const made = connect('http://grpc-web', { createConnection: () => outer });
    made.on('error', () => undefined);
    socket.once('close', () => made.destroy());
    session = made;
    this.#sessions.set(socket, session);
    return session;
  }
}

function requestHeaders(request: IncomingMessage, id: string): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { ':method': 'POST', ':path': request.url ?? '/', ':authority': request.headers.host ?? 'grpc-web', [bridgeHeader]: id };
  for (const name of Object.keys(request.headers)) if (!hopHeaders.has(name) && name !== bridgeHeader) headers[name] = request.headers[name];
  return headers;
}

function plainHeaders(headers: object): object {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')));
}
