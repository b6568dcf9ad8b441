import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { addressText, type Logger, type TlsContexts } from '@weft/data-plane/internal';

/** The server side of TLS for sockets that were accepted elsewhere. Follows the identity; refuses resumed sessions. */
/** Each holds a socket and the state of its handshake, for a client that has proved nothing yet. */
const maxHandshakes = 1000;

export interface TlsAcceptorOptions {
  alpn: readonly string[];
  requireClientCertificate: boolean;
  handshakeTimeoutMs: number;
  /** Handshakes at once; beyond them the oldest is given up. Default 1000. */
  maxHandshakes?: number | undefined;
  logger: Logger;
  onSecure: (socket: TLSSocket) => void;
  /** For connections that are given up before their handshake was done. */
  refuse: (socket: Socket, what: string) => void;
}

export class TlsAcceptor {
  readonly #server: Server;
  readonly #options: TlsAcceptorOptions;
  // By the client's address: Node does not tell which socket a secure one stands on.
  readonly #handshakes = new Map<string, Socket>();
  readonly #detach: () => void;

  /** @throws where there is no identity yet. */
  constructor(tls: TlsContexts, options: TlsAcceptorOptions) {
    this.#options = options;
    const { alpn, requireClientCertificate, handshakeTimeoutMs, logger, onSecure } = options;
    this.#server = createServer({ ...tls.serverOptions({ alpn, requireClientCertificate }), handshakeTimeout: handshakeTimeoutMs });
    this.#server.on('tlsClientError', (error, socket) => {
      logger.debug({ reason: error.message, peer: socket.remoteAddress }, 'TLS handshake failed');
      socket.destroy();
    });
    this.#server.on('secureConnection', (socket) => {
      this.#handshakes.delete(clientOf(socket));
      socket.allowHalfOpen = true;
      socket.on('error', () => socket.destroy());
      if (!socket.destroyed) onSecure(socket);
    });
    this.#detach = tls.attachServer(this.#server);
  }

  accept(socket: Socket): void {
    const client = clientOf(socket);
    if (this.#handshakes.size >= (this.#options.maxHandshakes ?? maxHandshakes)) {
      const [oldest] = this.#handshakes.entries();
      if (oldest) this.#handshakes.delete(oldest[0]);
      if (oldest) this.#options.refuse(oldest[1], 'too many TLS handshakes at once');
    }
    this.#handshakes.set(client, socket);
    socket.once('close', () => {
      if (this.#handshakes.get(client) === socket) this.#handshakes.delete(client);
    });
    // Until the handshake is done nothing can be half open: a client that ends its side will not go on with it.
    socket.allowHalfOpen = false;
    this.#server.emit('connection', socket);
  }

  close(): void {
    this.#detach();
  }
}

function clientOf({ remoteAddress, remotePort }: Socket): string {
  return addressText(remoteAddress ?? '', remotePort ?? 0);
}
