// An HTTP/1.1 server without a port, for node:http clients: what they send becomes a request of the mesh's dispatcher.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
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
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      const socket = request.socket as unknown as InProcessSocket;
      socket.run(() => new AgentExchange(request, response, socket).start(dispatcher, this.#origins.get(socket)!));
    };
    server.on('request', handle);
    // As Envoy: who waits before sending a body may send it. Whether the host wants it only its answer can tell.
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      response.writeContinue();
      handle(request, response);
    });
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
