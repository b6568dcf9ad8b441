// The server side of one process in the mesh.
import type { Server, ServerOptions } from '@grpc/grpc-js';
import { MeshError, prometheusText, type InboundTlsMode, type LoadRecorder, type Runtime, type XdsStatus } from '@weft/data-plane/internal';
import { addLoadReportService } from './grpc/load-report-service.js';
import { grpcOptions } from './grpc/grpc-options.js';
import { MeshListener } from './listener/mesh-listener.js';
import { targetsOf, type ListenTarget } from './target.js';

export interface ListenOptions {
  /** 0: any free one. */
  port: number;
  /** Address to bind, exactly. Default `::` (every address), or `0.0.0.0` where the machine has no IPv6. */
  host?: string;
  /** Name of the port in the WorkloadGroup or Service. Default `grpc` for a grpc.Server alone, `tcp` for bytes, else `http`. */
  name?: string;
  /** `tcp`: connections are the application's, judged and secured by the mesh. Default where the target is a net.Server. */
  protocol?: 'tcp';
}

export interface MeshServerSettings {
  /** How long a connection waits for the first inbound configuration before it is refused, ms. Default 10000. */
  configTimeoutMs?: number;
  /** How long a client may be silent after it connected, and how long its TLS handshake may take, ms. Default 10000. */
  peekTimeoutMs?: number;
  /** TLS handshakes at once on one port; beyond them the oldest is given up. Default 1000. */
  maxHandshakes?: number;
  /** On a PERMISSIVE port of bytes: how long a client may be silent before it counts as plain text, ms. Default 500. */
  detectTimeoutMs?: number;
  /** After a port is deregistered: how long it goes on accepting, so that callers hear of it first, ms. Default 500. */
  drainDelayMs?: number;
  /** How long requests in flight may take after that, ms. Default 30000. */
  drainTimeoutMs?: number;
  /** Closes the mesh on SIGTERM, then lets the process end. Default false: the application calls `close()`. */
  handleSigterm?: boolean;
}

export interface MeshServerStatus {
  ready: boolean;
  listeners: readonly { name: string; address: string; tlsMode: InboundTlsMode; activeRequests: number; openConnections: number; reason?: string }[];
  xds: XdsStatus;
}

/** The application's own numbers in load reports; see LoadRecorder. */
export type LoadReports = Pick<LoadRecorder, 'setApplicationUtilization' | 'setUtilization' | 'setNamedMetric'>;

export interface ListeningServer {
  readonly port: number;
  /** As bound. */
  readonly host: string;
  /** Deregisters, drains and closes this port only. */
  close(): Promise<void>;
}

export type ServerRuntime = Pick<Runtime, 'clock' | 'logger' | 'tls' | 'inbound' | 'stats' | 'xds' | 'load' | 'ready' | 'close'>;

export class MeshServer {
  readonly #runtime: ServerRuntime;
  readonly #settings: MeshServerSettings;
  readonly #listeners = new Set<MeshListener>();
  readonly #onClose = new Set<() => void>();
  // Node ends the process on SIGTERM only while nobody listens: having closed, we step aside and send it again.
  readonly #onSigterm = () => {
    void this.close().finally(() => {
      if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
    });
  };
  #closing: Promise<void> | undefined;

  constructor(runtime: ServerRuntime, settings: MeshServerSettings = {}) {
    this.#runtime = runtime;
    this.#settings = settings;
    if (settings.handleSigterm) process.once('SIGTERM', this.#onSigterm);
  }

  /**
   * Serves an Express app, a Fastify instance, an http.Server, a request listener or a grpc.Server, or HTTP and gRPC on one port, and
   * registers the port; with `protocol: 'tcp'` a net.Server, or a function that takes sockets. Rejects where the port cannot be bound or the target is none of these.
   */
  async listen(target: ListenTarget, where: number | ListenOptions): Promise<ListeningServer> {
    if (this.#closing) throw new MeshError('WEFT_CLOSED', 'listen');
    const options = typeof where === 'number' ? { port: where } : where;
    refuseInsecureParser();
    const targets = targetsOf(target, options.protocol);
    const { configTimeoutMs = 10_000, peekTimeoutMs = 10_000, detectTimeoutMs = 500, maxHandshakes } = this.#settings;
    const portName = options.name ?? (targets.tcp ? 'tcp' : targets.http ? 'http' : 'grpc');
    const listen = (host: string) => MeshListener.listen(this.#runtime, targets, { port: options.port, host, portName, configTimeoutMs, peekTimeoutMs, detectTimeoutMs, maxHandshakes });
    const listener = await (options.host === undefined ? listen('::').catch((error: NodeJS.ErrnoException) => (noIPv6.has(error.code) ? listen('0.0.0.0') : Promise.reject(error))) : listen(options.host));
    if (this.#closing) {
      await listener.close(0);
      throw new MeshError('WEFT_CLOSED', 'listen');
    }
    this.#listeners.add(listener);
    return { port: listener.port, host: listener.host, close: () => this.#closeListeners([listener]) };
  }

  /** Options for the application's grpc.Server: `new grpc.Server(mesh.grpcOptions())`, then `mesh.listen(server, port)`. */
  grpcOptions(): ServerOptions {
    return grpcOptions();
  }

  /** What callers are told of this process's load, so that their balancers can go by it: the event loop's utilisation, and whatever is set here. */
  get load(): LoadReports {
    return this.#runtime.load;
  }

  /** Adds the service that streams load reports (xds.service.orca.v3.OpenRcaService), for balancers with out-of-band reporting. Before the server listens. */
  addLoadReports(server: Server): void {
    addLoadReportService(server, this.#runtime.load, this.#runtime.clock);
  }

  /** Resolves when the process has an identity and configuration for every port that listens; rejects with the reason. */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.#runtime.ready(signal);
    await Promise.all([...this.#listeners].map((listener) => listener.inbound.ready(signal)));
  }

  /** What a readiness probe should answer: false from the moment closing begins. */
  get isReady(): boolean {
    return !this.#closing && [...this.#listeners].every((listener) => listener.inbound.tlsMode !== 'unknown');
  }

  /** State of the control plane's streams and resources, and of every port. */
  status(): MeshServerStatus {
    const listeners = [...this.#listeners].map(({ inbound, address, activeRequests, openConnections }) => ({
      name: inbound.name, address, tlsMode: inbound.tlsMode, activeRequests, openConnections, ...(inbound.refusal && { reason: inbound.refusal.message }),
    }));
    return { ready: this.isReady, listeners, xds: this.#runtime.xds.status() };
  }

  /** Metrics in Prometheus' text format. */
  metrics(): string {
    return prometheusText(this.#runtime.stats);
  }

  /** Readiness off, ports deregistered, requests in flight finished, connections closed. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For middleware: the runtime, and to be told when it closes. */
  attach(onClose: () => void): Pick<Runtime, 'clock' | 'logger' | 'inbound'> {
    if (this.#closing) throw new MeshError('WEFT_CLOSED', 'attach');
    this.#onClose.add(onClose);
    return this.#runtime;
  }

  async #close(): Promise<void> {
    process.off('SIGTERM', this.#onSigterm);
    for (const fn of this.#onClose) fn();
    await this.#closeListeners([...this.#listeners]);
    await this.#runtime.close();
  }

  async #closeListeners(listeners: readonly MeshListener[]): Promise<void> {
    const { drainDelayMs = 500, drainTimeoutMs = 30_000 } = this.#settings;
    for (const listener of listeners) listener.deregister();
    // Callers hear from the control plane that we are gone; until then they may still connect. With nobody connected nobody has to hear.
    if (listeners.some(({ openConnections }) => openConnections > 0)) await new Promise<void>((resolve) => void this.#runtime.clock.setTimeout(resolve, drainDelayMs));
    await Promise.all(listeners.map((listener) => listener.close(drainTimeoutMs)));
    for (const listener of listeners) this.#listeners.delete(listener);
  }
}

const noIPv6 = new Set<string | undefined>(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

function refuseInsecureParser(): void {
  if ([...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].some((option) => option.includes('--insecure-http-parser'))) {
    throw new TypeError('--insecure-http-parser opens request smuggling; policies would judge another request than the application');
  }
}
