import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { AddressInfo, Socket } from 'node:net';
import type { TlsContexts } from '@weft/data-plane/internal';

export interface TestServer {
  readonly port: number;
  /** Requests so far. */
  readonly requests: number;
  /** Connections so far. */
  readonly connections: number;
  /** Connections now. */
  readonly open: number;
  /** SPIFFE IDs of the clients, by connection. */
  readonly peers: readonly string[];
  close(): Promise<void>;
}

/** An HTTP server on a free port of 127.0.0.1; with `tls`, one that wants a client certificate. */
export async function testServer(handler: RequestListener, options: { tls?: TlsContexts } = {}): Promise<TestServer> {
  const state = { requests: 0, connections: 0, peers: [] as string[] };
  const http = createServer((request, response) => {
    state.requests++;
    handler(request, response);
  });
  const sockets = new Set<Socket>();
  let listening: Server | ReturnType<typeof createTlsServer> = http;
  let stop = () => {};
  if (options.tls) {
    const { tls } = options;
    listening = createTlsServer(tls.serverOptions({ alpn: ['http/1.1'], requireClientCertificate: true }), (socket: TLSSocket) => {
      state.peers.push(String(socket.getPeerCertificate().subjectaltname).replace('URI:', ''));
      http.emit('connection', socket);
    });
    stop = tls.attachServer(listening as never);
  }
  listening.on('connection', (socket: Socket) => {
    state.connections++;
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return {
    port: (listening.address() as AddressInfo).port,
    get requests() { return state.requests; },
    get connections() { return state.connections; },
    get open() { return sockets.size; },
    get peers() { return state.peers; },
    async close() {
      stop();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listening.close(resolve));
    },
  };
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = await testServer(() => {});
  await server.close();
  return server.port;
}
