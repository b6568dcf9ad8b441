// Connections to one endpoint: TCP, and TLS made with the newest identity each time.
import net from 'node:net';
import tls from 'node:tls';
import { endWithCertificates } from '@weft/spiffe';

/** A connection could not be made. Nothing of any request was sent. */
export class UpstreamConnectError extends Error {
  readonly kind: 'connect-failure' | 'identity';

  constructor(kind: UpstreamConnectError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UpstreamConnectError';
    this.kind = kind;
  }
}

// By the error that ended a connection: when it was made.
const connectionTimes = new WeakMap<Error, number>();

/** Whether the connection that this error ended was there before `time` (performance.now()). */
export function endedConnectionOlderThan(error: Error, time: number): boolean {
  return (connectionTimes.get(error) ?? Infinity) < time;
}

export interface ConnectTarget {
  /** IP address or name, or the path of a Unix socket where `port` is 0. */
  readonly address: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** Undefined: plain text. Called for each connection; what it throws is a failure of identity. */
  readonly tlsOptions: (() => tls.ConnectionOptions) | undefined;
}

/** @returns stops the attempt; the callback is then not called. */
export function connect(target: ConnectTarget, callback: (error: UpstreamConnectError | null, socket: net.Socket | null) => void): () => void {
  const { address, port, timeoutMs, tlsOptions } = target;
  const where = port === 0 ? { path: address } : { host: address, port };
  const shown = port === 0 ? address : `${address}:${port}`;
  let socket: net.Socket;
  if (tlsOptions) {
    let options: tls.ConnectionOptions;
    try {
      options = tlsOptions();
    } catch (error) {
      callback(new UpstreamConnectError('identity', (error as Error).message, { cause: error }), null);
      return () => undefined;
    }
    socket = tls.connect({ ...readAhead(16_384), ...options, ...where });
  } else {
    socket = net.connect({ ...readAhead(65_536), ...where });
  }
  if (port !== 0) socket.setNoDelay(true).setKeepAlive(true, 60_000);

  let settled = false;
  let madeAt = Infinity;
  const settle = (error: UpstreamConnectError | null) => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    if (error) socket.destroy();
    else madeAt = performance.now();
    callback(error, error ? null : socket);
  };
  const timer = setTimeout(() => settle(new UpstreamConnectError('connect-failure', `no connection to ${shown} in ${timeoutMs} ms`)), timeoutMs);
  timer.unref();
  // Stays for the socket's life: an error after the connection is the pool's to handle, but must never be unhandled.
  socket.on('error', (error) => {
    if (settled) connectionTimes.set(error, madeAt);
    else settle(connectError(shown, error));
  });
  socket.once('close', () => settle(new UpstreamConnectError('connect-failure', `${shown} closed the connection while it was being made`)));
  socket.once(tlsOptions ? 'secureConnect' : 'connect', () => {
    // Neither chain nor name of a resumed session was checked. We never offer one; a peer that resumes is not trusted.
    if (tlsOptions && (socket as tls.TLSSocket).isSessionReused()) settle(new UpstreamConnectError('identity', `${shown} resumed a TLS session`));
    else {
      if (tlsOptions) endWithCertificates(socket as tls.TLSSocket);
      settle(null);
    }
  });
  return () => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    socket.destroy();
  };
}

/** A stream option that Node's types do not list for sockets. TLS records hold no more than 16 KiB. */
function readAhead(highWaterMark: number): object {
  return { highWaterMark };
}

const certificateCodes = /^(ERR_TLS_CERT|UNABLE_TO_|CERT_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED_CERT|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH|PERMITTED_VIOLATION)/;

function connectError(shown: string, error: Error): UpstreamConnectError {
  const code = String((error as { code?: unknown }).code ?? '');
  const identity = error.name === 'PeerVerificationError' || certificateCodes.test(code);
  const message = error instanceof AggregateError ? error.errors.map(String).join(', ') : error.message;
  return new UpstreamConnectError(identity ? 'identity' : 'connect-failure', `${shown}: ${message || code}`, { cause: error });
}
