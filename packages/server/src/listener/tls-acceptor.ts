import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Logger, TlsContexts } from '@weft/data-plane/internal';

/** The server side of TLS for sockets that were accepted elsewhere. Follows the identity; refuses resumed sessions. */
export class TlsAcceptor {
  readonly #server: Server;
  readonly #detach: () => void;

  /** @throws where there is no identity yet. */
  constructor(tls: TlsContexts, options: { alpn: readonly string[]; requireClientCertificate: boolean; handshakeTimeoutMs: number; logger: Logger; onSecure: (socket: TLSSocket) => void }) {
    const { alpn, requireClientCertificate, handshakeTimeoutMs, logger, onSecure } = options;
    this.#server = createServer({ ...tls.serverOptions({ alpn, requireClientCertificate }), handshakeTimeout: handshakeTimeoutMs });
    this.#server.on('tlsClientError', (error, socket) => {
      logger.debug({ reason: error.message, peer: socket.remoteAddress }, 'TLS handshake failed');
      socket.destroy();
    });
    this.#server.on('secureConnection', (socket) => {
      socket.on('error', () => socket.destroy());
      if (!socket.destroyed) onSecure(socket);
    });
    this.#detach = tls.attachServer(this.#server);
  }

  accept(socket: Socket): void {
    this.#server.emit('connection', socket);
  }

  close(): void {
    this.#detach();
  }
}
