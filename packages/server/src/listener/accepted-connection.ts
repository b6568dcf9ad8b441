// One connection that may carry requests: who it is, and when it has to end.
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { connectionInfo, type Clock, type ConnectionInfo } from '@weft/data-plane/internal';

export class AcceptedConnection {
  readonly socket: Socket;
  readonly info: ConnectionInfo;
  /** No further requests: HTTP/1 says `connection: close`, HTTP/2 has sent GOAWAY. */
  draining = false;
  readonly #onDrain = new Set<() => void>();

  /** @throws where the peer's certificate does not verify. */
  constructor(socket: Socket, clock: Clock) {
    this.socket = socket;
    this.info = connectionInfo(socket);
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

  /** An identity ends with its certificate: asked to leave in time, closed at the end. */
  #expire(socket: TLSSocket, clock: Clock): void {
    const notAfter = socket.getPeerX509Certificate()?.validToDate.getTime();
    if (notAfter === undefined) return;
    const left = notAfter - clock.now();
    const timers = [clock.setTimeout(() => this.drain(), left * 0.9), clock.setTimeout(() => socket.destroy(), left)];
    socket.once('close', () => timers.forEach((timer) => timer.cancel()));
  }
}

const connections = new WeakMap<object, AcceptedConnection>();

export function rememberConnection(key: object, connection: AcceptedConnection): void {
  connections.set(key, connection);
}

/** By socket, or by HTTP/2 session. */
export function connectionOf(key: object): AcceptedConnection | undefined {
  return connections.get(key);
}
