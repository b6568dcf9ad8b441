// Connections to one endpoint: TCP, and TLS made with the newest identity each time.
import net from 'node:net';
import tls from 'node:tls';
import { endWithCertificates } from '@weft/spiffe';
import type { HappyEyeballsConfig, HostAddress } from '../resource/cluster-config.js';
import type { ProxyProtocolVersion } from '../resource/tls-config.js';
import { interleaved, race } from './happy-eyeballs.js';
import { ownHeader } from './proxy-protocol.js';

/** A connection could not be made. Nothing of any request was sent. */
export class UpstreamConnectError extends Error {
  readonly kind: 'connect-failure' | 'identity';

  constructor(kind: UpstreamConnectError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UpstreamConnectError';
    this.kind = kind;
  }
}

export interface ConnectTarget {
  /** IP address or name, or the path of a Unix socket where `port` is 0. */
  readonly address: string;
  readonly port: number;
  /** Of the same host: tried while the first does not answer. */
  readonly additionalAddresses?: readonly HostAddress[] | undefined;
  readonly happyEyeballs?: HappyEyeballsConfig | undefined;
  readonly timeoutMs: number;
  /** When TCP begins to ask an idle peer whether it is there. Default 60 s. */
  readonly keepAliveMs?: number | undefined;
  /** The address to connect from, by the family of the one to connect to. */
  readonly sourceAddress?: ((to: string) => HostAddress | undefined) | undefined;
  /** Sent before everything else, TLS included. */
  readonly proxyProtocol?: ProxyProtocolVersion | undefined;
  /** Undefined: plain text. Called for each connection; what it throws is a failure of identity. */
  readonly tlsOptions: (() => tls.ConnectionOptions) | undefined;
  /** As net.connect's. Default false. */
  readonly allowHalfOpen?: boolean;
}

export type Connected = (error: UpstreamConnectError | null, socket: net.Socket | null) => void;

/** @returns stops the attempt; the callback is then not called. */
export function connect(target: ConnectTarget, callback: Connected): () => void {
  const { address, port, additionalAddresses = [], happyEyeballs } = target;
  if (additionalAddresses.length === 0) return connectTo(target, callback);
  const addresses = interleaved([{ address, port }, ...additionalAddresses], happyEyeballs);
  return race(addresses.map((at) => (done: Connected) => connectTo({ ...target, ...at }, done)), callback);
}

function connectTo(target: ConnectTarget, callback: Connected): () => void {
  const { address, port, timeoutMs, tlsOptions, keepAliveMs = 60_000, proxyProtocol, allowHalfOpen = false } = target;
  const from = port === 0 ? undefined : target.sourceAddress?.(address);
  const where = port === 0 ? { path: address } : { host: address, port, ...(from && { localAddress: from.address, ...(from.port > 0 && { localPort: from.port }) }) };
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
    if (proxyProtocol) {
      // TLS begins behind the header, so it is put on a connection that is there.
      const carrier = net.connect({ ...where, allowHalfOpen });
      if (port !== 0) carrier.setNoDelay(true).setKeepAlive(true, keepAliveMs);
      carrier.once('connect', () => carrier.write(ownHeader(proxyProtocol, carrier)));
      socket = tls.connect({ ...readAhead(16_384), ...options, socket: carrier });
      carrier.once('error', (error) => socket.destroy(error));
    } else socket = tls.connect({ ...readAhead(16_384), ...options, ...where, ...({ allowHalfOpen } as object) });
  } else {
    socket = net.connect({ ...readAhead(65_536), ...where, allowHalfOpen });
    if (proxyProtocol) socket.once('connect', () => socket.write(ownHeader(proxyProtocol, socket)));
  }
  if (port !== 0) socket.setNoDelay(true).setKeepAlive(true, keepAliveMs);

  let settled = false;
  const settle = (error: UpstreamConnectError | null) => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    if (error) socket.destroy();
    callback(error, error ? null : socket);
  };
  const timer = setTimeout(() => settle(new UpstreamConnectError('connect-failure', `no connection to ${shown} in ${timeoutMs} ms`)), timeoutMs);
  timer.unref();
  // Stays for the socket's life: an error after the connection is the pool's to handle, but must never be unhandled.
  socket.on('error', (error) => {
    if (!settled) settle(connectError(shown, error));
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
