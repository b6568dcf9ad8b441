// One connection that may carry requests: who it is, and when it has to end.
import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { connectionInfo, type Clock, type ConnectionInfo, type ProxiedAddresses } from '@weft/data-plane/internal';

export class AcceptedConnection {
  readonly socket: Socket;
  readonly info: ConnectionInfo;
  /** No further requests: HTTP/1 says `connection: close`, HTTP/2 has sent GOAWAY. */
  draining = false;
  /** Of HTTP/2, while it drains: resolves when the client has read that it has to leave, so that none of its requests is still on the way. */
  leaving: Promise<void> | undefined;
  readonly #clock: Clock;
  readonly #handshakeTimeoutMs: number;
  readonly #onDrain = new Set<() => void>();

  /** @throws where the peer's certificate does not verify. */
  constructor(socket: Socket, clock: Clock, handshakeTimeoutMs: number, proxied?: ProxiedAddresses) {
    this.socket = socket;
    this.#clock = clock;
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
    this.info = connectionInfo(socket, proxied);
    if (socket instanceof TLSSocket) this.#expire(socket, clock);
  }

  drain(): void {
    if (this.draining) return;
    this.draining = true;
    for (const fn of this.#onDrain) fn();
  }

  onDrain(fn: () => void): void {
    this.#onDrain.add(fn);
  }

  /**
   * The HTTP/2 session on this connection. Its preface has to arrive in time: Node waits for ever for the rest of one.
   */
  attach(session: ServerHttp2Session): void {
    connections.set(session, this);
    this.onDrain(() => void (this.leaving ??= leave(session, this.#clock)));
    const timer = this.#clock.setTimeout(() => {
      session.destroy();
      this.socket.destroy();
    }, this.#handshakeTimeoutMs);
    session.once('remoteSettings', () => timer.cancel());
    session.once('close', () => timer.cancel());
  }

  /** An identity ends with its certificate: asked to leave in time, closed at the end. */
  #expire(socket: TLSSocket, clock: Clock): void {
    const notAfter = socket.getPeerX509Certificate()?.validToDate.getTime();
    if (notAfter === undefined) return;
    const left = notAfter - clock.now();
    const timers = [clock.setTimeout(() => this.drain(), left * 0.9), clock.setTimeout(() => socket.destroy(), left)];
    socket.once('close', () => timers.forEach((timer) => timer.cancel()));
  }
}

/** How long a client has to read that it shall leave. Node's own clients without requests answer no ping after a GOAWAY. */
const longestGoodbyeMs = 500;

/**
 * Asks the client to leave, and closes only when it has read that. Closed at once, requests on their way would stay unread, which resets
 * the connection, and the client would not learn that they were never looked at and may be sent elsewhere.
 */
function leave(session: ServerHttp2Session, clock: Clock): Promise<void> {
  if (session.destroyed || session.closed) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel();
      session.close();
      resolve();
    };
    const timer = clock.setTimeout(end, longestGoodbyeMs);
    session.once('close', end);
    session.goaway();
    session.ping(end);
  });
}

const connections = new WeakMap<object, AcceptedConnection>();

export function rememberConnection(key: object, connection: AcceptedConnection): void {
  connections.set(key, connection);
}

/** By socket, or by HTTP/2 session. */
export function connectionOf(key: object): AcceptedConnection | undefined {
  return connections.get(key);
}
