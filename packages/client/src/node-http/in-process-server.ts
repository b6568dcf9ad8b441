// An HTTP/1.1 server without a port, for node:http clients: what they send becomes a request of the mesh's dispatcher.
import { createServer, ServerResponse, type IncomingMessage, type Server } from 'node:http';
import type { Dispatcher } from 'undici';
import { AgentExchange } from './agent-exchange.js';
import { InProcessSocket } from './in-process-socket.js';

// The limits of what an application may send to itself are its own.
const maxHeaderSize = 1024 * 1024;

export class InProcessServer {
  readonly #server: Server;
  readonly #origins = new WeakMap<InProcessSocket, string>();

  constructor(dispatcher: Pick<Dispatcher, 'dispatch'>) {
    const server = createServer({ maxHeaderSize, requireHostHeader: false, keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, insecureHTTPParser: false });
    server.maxHeadersCount = 0;
    const handle = (request: IncomingMessage, response: ServerResponse, upgrade?: string) => {
      const socket = request.socket as unknown as InProcessSocket;
      socket.run(() => new AgentExchange(request, response, socket).start(dispatcher, this.#origins.get(socket)!, upgrade));
    };
    server.on('request', (request, response) => handle(request, response));
    // As Envoy: who waits before sending a body may send it. Whether the host wants it only its answer can tell.
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      response.writeContinue();
      handle(request, response);
    });
    server.on('upgrade', (request: IncomingMessage, socket: InProcessSocket, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      handle(request, detachedResponse(request, socket), request.headers.upgrade);
    });
    server.on('connect', (request: IncomingMessage, socket: InProcessSocket) => handle(request, detachedResponse(request, socket)));
    this.#server = server;
  }

  /** @param origin what the application dialled. */
  connect(origin: string): InProcessSocket {
    const [client, server] = InProcessSocket.pair();
    this.#origins.set(server, origin);
    this.#server.emit('connection', server);
    return client;
  }
}

/** For a connection that Node's server has let go of, where the answer is no change of protocol after all. */
function detachedResponse(request: IncomingMessage, socket: InProcessSocket): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as never);
  socket.on('drain', () => response.emit('drain')).on('error', () => socket.destroy());
  response.once('finish', () => socket.destroySoon());
  return response;
}
