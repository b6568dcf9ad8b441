// One port of the mesh: accepts connections, finds out what they speak, fixes who they are, hands them on.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Http2Server } from 'node:http2';
import type { Server as HttpServer } from 'node:http';
import { addressText, Drain, type InboundListener, type ProxiedAddresses, type Runtime } from '@weft/data-plane/internal';
import { GrpcAcceptor } from '../grpc/grpc-acceptor.js';
import { servesWeb, webTarget } from '../grpc/grpc-web-target.js';
import { createInnerHttp2Server, createInnerServer } from '../http/inner-server.js';
import type { NodeHandlerOptions } from '../http/node-handler.js';
import type { Targets } from '../target.js';
import { AcceptedConnection, connectionOf, rememberConnection } from './accepted-connection.js';
import { peek, startsMeshTls } from './peek.js';
import { readProxyHeader, type ProxyHeaderOptions } from './proxy-header.js';
import { TlsAcceptor } from './tls-acceptor.js';

export interface MeshListenerOptions {
  port: number;
  /** Bound exactly as given. */
  host: string;
  portName: string;
  /** How long a connection waits for the first configuration before it is refused, ms. */
  configTimeoutMs: number;
  /** How long a client may say nothing after connecting, and how long a handshake may take, ms. */
  peekTimeoutMs: number;
  /** TLS handshakes at once. Default 1000. */
  maxHandshakes?: number | undefined;
  /** On a port of bytes that takes TLS and plain text: how long a client may be silent before it counts as plain text, ms. */
  detectTimeoutMs: number;
}

// Whoever can connect can be refused: that must not fill the log.
const refusalLogIntervalMs = 10_000;

/** How long idle connections of HTTP/1 are left to their clients to close. */
const longestIdleMs = 1000;

type ListenerRuntime = Pick<Runtime, 'clock' | 'logger' | 'tls' | 'inbound' | 'stats'>;

export class MeshListener {
  readonly host: string;
  readonly port: number;
  readonly inbound: InboundListener;
  readonly #runtime: ListenerRuntime;
  readonly #options: MeshListenerOptions;
  readonly #server: Server;
  readonly #targets: Targets;
  readonly #requests: Drain;
  readonly #sockets = new Set<Socket>();
  /** What PROXY headers told, by the peer's own address: Node does not tell which socket a secure one stands on. */
  readonly #proxied = new Map<string, ProxiedAddresses>();
  readonly #http: HttpServer | undefined;
  readonly #http2: Http2Server | undefined;
  readonly #grpc: GrpcAcceptor | undefined;
  readonly #tlsAcceptors = new Map<boolean, TlsAcceptor>();
  readonly #stopFollowing: (() => void) | undefined;
  readonly #refusals = new Map<string, { loggedAt: number; since: number }>();
  #accepting: AcceptedConnection | undefined;
  #draining = false;

  /** Binds the port, then registers it: a port is never announced that is not ours. */
  static async listen(runtime: ListenerRuntime, targets: Targets, options: MeshListenerOptions): Promise<MeshListener> {
    await targets.http?.ready();
    // allowHalfOpen as http.Server has it: a client may end its side after the request and still read the answer.
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, options.host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    try {
      return new MeshListener(runtime, server, targets, options);
    } catch (error) {
      server.close();
      throw error;
    }
  }

  private constructor(runtime: ListenerRuntime, server: Server, targets: Targets, options: MeshListenerOptions) {
    const { address, port } = server.address() as AddressInfo;
    this.host = address;
    this.port = port;
    this.#runtime = runtime;
    this.#options = options;
    this.#server = server;
    this.#targets = targets;
    this.#requests = new Drain(runtime.clock);
    this.inbound = runtime.inbound.listen({ portName: options.portName, host: address, port });
    const { inbound } = this;
    const requests = this.#requests;
    try {
      if (targets.grpc) this.#grpc = new GrpcAcceptor(targets.grpc, { inbound, requests });
      const http = this.#grpc ? webTarget(this.#grpc.web, targets.http) : targets.http;
      if (http) {
        const handler: NodeHandlerOptions = { inbound, requests, router: http.router, closing: (request) => this.#draining || connectionOf(request.socket)?.draining === true };
        this.#http = createInnerServer(http, handler);
        if (http.http2) this.#http2 = createInnerHttp2Server(http, handler, () => this.#accepting);
      }
    } catch (error) {
      inbound.close();
      throw error;
    }
    // A connection keeps the certificate it was made with: those of an older identity are asked to leave.
    this.#stopFollowing = runtime.tls?.subscribe(() => {
      for (const socket of this.#sockets) if (socket instanceof TLSSocket) connectionOf(socket)?.drain();
    });
    server.on('connection', (socket) => void this.#accept(socket));
    server.on('error', (error) => runtime.logger.error({ reason: error.message, listener: inbound.name }, 'the listening socket failed'));
  }

  get address(): string {
    return addressText(this.host, this.port);
  }

  /** Requests in flight. */
  get activeRequests(): number {
    return this.#requests.active;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  /** Deregisters the port; every connection is asked to leave after what it is doing. New ones are still served. */
  deregister(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.inbound.close();
    for (const socket of this.#sockets) connectionOf(socket)?.drain();
  }

  /** Accepts no more, lets requests in flight finish for at most `timeoutMs`, then closes what is left. */
  async close(timeoutMs: number): Promise<void> {
    this.deregister();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // After the port is closed: a connection made until now is still served, one that waits for a request is not.
    for (const socket of this.#sockets) connectionOf(socket)?.drain();
    await this.#left();
    // Who heard that we leave closes its idle connections itself; closed by us, a request on its way to one would be lost.
    if (this.#http) await this.#emptied(Math.min(timeoutMs, longestIdleMs));
    this.#http?.closeIdleConnections();
    await this.#requests.idle(timeoutMs);
    this.#stopFollowing?.();
    for (const acceptor of this.#tlsAcceptors.values()) acceptor.close();
    await this.#flushed();
    for (const socket of this.#sockets) socket.destroy();
    this.#http?.close();
    this.#http2?.close();
    this.#grpc?.close();
    await closed;
  }

  async #accept(socket: Socket): Promise<void> {
    this.#track(socket);
    const { configTimeoutMs, peekTimeoutMs } = this.#options;
    const { clock, logger } = this.#runtime;
    if (this.inbound.tlsMode === 'unknown' && !(await this.#configured(configTimeoutMs))) return this.#refuse(socket, 'no inbound configuration', this.inbound.refusal);
    const { proxyProtocol } = this.inbound;
    if (proxyProtocol && !(await this.#readProxyHeader(socket, proxyProtocol))) return;
    if (this.inbound.isTcp !== (this.#targets.tcp !== undefined)) return this.#refuse(socket, this.#targets.tcp ? 'a server of bytes on a port that is HTTP in the mesh (name the port tcp-…, or set appProtocol: tcp)' : 'an HTTP server on a port that is TCP in the mesh');
    if (this.#targets.tcp) return this.#acceptTcp(socket);
    const first = await peek(socket, peekTimeoutMs, clock);
    if (first === undefined) return void socket.destroy();
    const { tlsMode } = this.inbound;
    if (first === 'tls') {
      if (tlsMode !== 'strict' && tlsMode !== 'permissive') return this.#refuse(socket, 'TLS on a port without mutual TLS');
      try {
        this.#tlsAcceptor().accept(socket);
      } catch (error) {
        this.#refuse(socket, 'no identity', error as Error);
      }
      return;
    }
    if (tlsMode !== 'permissive' && tlsMode !== 'disable') return this.#refuse(socket, 'plain text on a port with mutual TLS');
    this.#serve(new AcceptedConnection(socket, clock, peekTimeoutMs, this.#proxied.get(peerOf(socket))), first === 'http2');
    logger.debug({ listener: this.inbound.name, peer: socket.remoteAddress }, 'plain text connection');
  }

  /** Before TLS: whoever adds the header does not take part in that. False: the connection is refused. */
  async #readProxyHeader(socket: Socket, options: ProxyHeaderOptions): Promise<boolean> {
    const header = await readProxyHeader(socket, options, this.#options.peekTimeoutMs, this.#runtime.clock);
    if (header.kind === 'refused') this.#refuse(socket, header.reason);
    if (header.kind === 'gone') socket.destroy();
    if (header.kind !== 'read') return false;
    if (header.addresses) {
      const peer = peerOf(socket);
      this.#proxied.set(peer, header.addresses);
      socket.once('close', () => this.#proxied.delete(peer));
    }
    return true;
  }

  /** Servers of bytes may speak first: whoever is silent is only waited for where it has to be known what he speaks. */
  async #acceptTcp(socket: Socket): Promise<void> {
    const { clock } = this.#runtime;
    const { tlsMode } = this.inbound;
    const secure = tlsMode === 'permissive' ? await startsMeshTls(socket, this.#options.detectTimeoutMs, clock) : tlsMode === 'strict';
    if (secure === undefined) return void socket.destroy();
    if (!secure) return this.#serveTcp(new AcceptedConnection(socket, clock, 0, this.#proxied.get(peerOf(socket))));
    try {
      this.#tlsAcceptor().accept(socket);
    } catch (error) {
      this.#refuse(socket, 'no identity', error as Error);
    }
  }

  #serveTcp(connection: AcceptedConnection): void {
    const { socket, info } = connection;
    if (socket.destroyed) return;
    rememberConnection(socket, connection);
    const refusal = this.inbound.openTcp(info, socket);
    if (refusal !== undefined) return this.#refuse(socket, refusal);
    this.#requests.begin();
    socket.once('close', () => this.#requests.end());
    this.#targets.tcp!(socket);
  }

  #tlsAcceptor(): TlsAcceptor {
    const { tls, logger } = this.#runtime;
    if (!tls) throw new Error('this process has no source of identities');
    const { requireClientCertificate } = this.inbound;
    let acceptor = this.#tlsAcceptors.get(requireClientCertificate);
    if (!acceptor) {
      acceptor = new TlsAcceptor(tls, { alpn: this.#alpn(), requireClientCertificate, handshakeTimeoutMs: this.#options.peekTimeoutMs, maxHandshakes: this.#options.maxHandshakes, logger, onSecure: (socket) => void this.#secured(socket), refuse: (socket, what) => this.#refuse(socket, what) });
      this.#tlsAcceptors.set(requireClientCertificate, acceptor);
    }
    return acceptor;
  }

  /** In our order of preference. Express is HTTP/1.1 only: one HTTP/2 request ends its process. */
  #alpn(): string[] {
    // Not istio-peer-exchange: its clients would send their metadata before the application's bytes.
    if (this.#targets.tcp) return ['istio'];
    return [...(this.#grpc || this.#http2 ? ['h2'] : []), ...(this.#http ? ['http/1.1'] : [])];
  }

  async #secured(socket: TLSSocket): Promise<void> {
    this.#track(socket);
    const { clock } = this.#runtime;
    let connection: AcceptedConnection;
    try {
      connection = new AcceptedConnection(socket, clock, this.#options.peekTimeoutMs, this.#proxied.get(peerOf(socket)));
    } catch (error) {
      return this.#refuse(socket, 'the peer has no valid identity', error as Error);
    }
    if (this.#targets.tcp) return this.#serveTcp(connection);
    if (socket.alpnProtocol === 'h2') return this.#serve(connection, true);
    if (socket.alpnProtocol === 'http/1.1') return this.#serve(connection, false);
    // No ALPN: the protocol shows in the first bytes, as on plain text.
    const first = await peek(socket, this.#options.peekTimeoutMs, clock);
    if (first === undefined || first === 'tls') return void socket.destroy();
    this.#serve(connection, first === 'http2');
  }

  #serve(connection: AcceptedConnection, http2: boolean): void {
    const { socket } = connection;
    if (socket.destroyed) return;
    rememberConnection(socket, connection);
    // HTTP/2 knows no half-closed connections: Node would keep one for ever whose client was killed.
    if (http2) socket.allowHalfOpen = false;
    if (http2 && this.#grpc) this.#grpc.accept(connection);
    else if (http2 && this.#http2) {
      this.#accepting = connection;
      this.#http2.emit('connection', socket);
      this.#accepting = undefined;
    } else if (!http2 && this.#http && !this.#targets.http?.http2 && (this.#targets.http || servesWeb(this.inbound, connection))) this.#http.emit('connection', socket);
    else this.#refuse(socket, http2 ? 'HTTP/2 on a port that serves HTTP/1.1' : 'HTTP/1.1 on a port that serves HTTP/2');
  }

  async #configured(timeoutMs: number): Promise<boolean> {
    const waiting = new AbortController();
    const timer = this.#runtime.clock.setTimeout(() => waiting.abort(), timeoutMs);
    try {
      await this.inbound.ready(waiting.signal);
      return true;
    } catch {
      return false;
    } finally {
      timer.cancel();
    }
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // Before and between the servers that listen to it, an error would end the process.
    socket.on('error', () => socket.destroy());
  }

  /** Resolves when no connection is left, after `ms` at the latest. */
  async #emptied(ms: number): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#runtime.clock.setTimeout(resolve, ms);
      for (const socket of this.#sockets) {
        socket.once('close', () => {
          if (this.#sockets.size > 0) return;
          timer.cancel();
          resolve();
        });
      }
    });
  }

  /** What clients sent before they heard that the port closes has arrived. */
  async #left(): Promise<void> {
    await Promise.all([...this.#sockets].map((socket) => connectionOf(socket)?.leaving));
  }

  /** Responses whose last bytes are still in our buffers. */
  async #flushed(): Promise<void> {
    const pending = [...this.#sockets].filter((socket) => socket.writableLength > 0);
    const drain = new Drain(this.#runtime.clock);
    for (const socket of pending) {
      drain.begin();
      let done = false;
      const end = () => {
        if (!done) drain.end();
        done = true;
      };
      socket.once('drain', end).once('close', end);
    }
    await drain.idle(1000);
  }

  #refuse(socket: Socket, what: string, error?: Error): void {
    const { clock, logger, stats } = this.#runtime;
    const peer = socket.remoteAddress;
    socket.destroy();
    stats.counter({ name: 'weft_inbound_connections_refused_total', help: 'Connections refused before a request', labels: ['listener', 'reason'] }).series(this.inbound.name, what).add();
    const now = clock.now();
    const refusal = this.#refusals.get(what) ?? { loggedAt: -Infinity, since: 0 };
    refusal.since++;
    this.#refusals.set(what, refusal);
    if (now - refusal.loggedAt < refusalLogIntervalMs) return;
    logger.warn({ listener: this.inbound.name, peer, connections: refusal.since, ...(error && { reason: error.message }) }, `connection refused: ${what}`);
    Object.assign(refusal, { loggedAt: now, since: 0 });
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return addressText(remoteAddress ?? '', remotePort ?? 0);
}
