// Listeners of this process. Watching one registers its port with the control plane, no longer watching it deregisters it
// (contracts.md 2). Without configuration a server serves nothing.
import type { Socket } from 'node:net';
import { systemClock, type Clock, type TlsContexts } from '@weft/spiffe';
import { MeshError } from '../errors.js';
import type { FilterContext } from '../filter/http-filter.js';
import type { ListenerConfig } from '../resource/listener-config.js';
import type { RouteConfigurationConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { RouterSpelling } from '../stream/stream-info.js';
import type { Logger } from '../telemetry/logger.js';
import { principalOf } from '../telemetry/own-principal.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { Subscription, XdsClient } from '../xds/xds-client.js';
import type { ConnectionInfo, InboundBodies, InboundStream } from './inbound-port.js';
import { InboundTcp } from './inbound-tcp.js';
import { InboundSnapshot, type FilterChainRuntime, type InboundTlsMode } from './inbound-snapshot.js';
import { ServerStream } from './inbound-stream.js';
import type { LoadRecorder } from './load-recorder.js';
import { addressText } from './peer-identity.js';

export interface ListenAddress {
  /** Name of the port in the WorkloadGroup or Service: `http`, `grpc`. */
  portName: string;
  /** As bound; a wildcard address registers every address of the instance. */
  host: string;
  port: number;
}

export interface InboundListenersOptions {
  xds: XdsClient;
  type: ResourceType<ListenerConfig>;
  /** For listeners that name their routes instead of carrying them. */
  routeType?: ResourceType<RouteConfigurationConfig>;
  filterContext: FilterContext;
  telemetry: Telemetry;
  tls: TlsContexts | undefined;
  logger: Logger;
  clock?: Clock;
  /** What callers are told of this process's load; absent: nothing. */
  load?: LoadRecorder | undefined;
  /** What usually is wrong where the control plane has no such Listener. */
  absentHint?: string;
  /** The resource's name; Weft's own form where it is left out, `server_listener_resource_name_template` elsewhere. */
  listenerName?: (address: ListenAddress) => string;
}

export interface OpenOptions {
  httpVersion?: string;
  router?: RouterSpelling;
  bodies?: InboundBodies<never> | undefined;
  /** What `bodies` knows the request by. */
  message?: unknown;
}

export class InboundListeners {
  readonly #options: InboundListenersOptions;
  readonly #open = new Set<InboundListener>();

  constructor(options: InboundListenersOptions) {
    this.#options = options;
  }

  listen(address: ListenAddress): InboundListener {
    const listener = new InboundListener(address, this.#options, () => this.#open.delete(listener));
    this.#open.add(listener);
    return listener;
  }

  close(): void {
    for (const listener of [...this.#open]) listener.close();
  }
}

export function inboundListenerName({ portName, host, port }: ListenAddress): string {
  return `weft/inbound/${portName}/${addressText(host, port)}`;
}

export class InboundListener {
  readonly name: string;
  readonly #options: InboundListenersOptions;
  readonly #subscription: Subscription;
  readonly #onClose: () => void;
  readonly #routeSubscriptions = new Map<string, Subscription>();
  readonly #routes = new Map<string, RouteConfigurationConfig>();
  readonly #listeners = new Set<() => void>();
  readonly #waiting = new Set<{ resolve(): void; reject(error: Error): void }>();
  readonly #ownPrincipal: () => string | undefined;
  readonly #clientCertificates = new WeakMap<ConnectionInfo, { own: string | undefined; value: string | undefined }>();
  #snapshot: InboundSnapshot | undefined;
  #refusal: Error | undefined;
  #absentReason: Error | undefined;
  #closed = false;

  constructor(address: ListenAddress, options: InboundListenersOptions, onClose: () => void) {
    this.name = (options.listenerName ?? inboundListenerName)(address);
    this.#options = options;
    this.#onClose = onClose;
    this.#ownPrincipal = principalOf(options.tls);
    this.#subscription = options.xds.watch(options.type, this.name, {
      onResource: (config) => this.#update(config),
      onAbsent: (reason) => this.#absent(reason),
      onError: (error) => this.#failed(error),
    });
  }

  /** Resolves once there is configuration; rejects where the control plane says there is none, on close, or when the signal aborts. */
  ready(signal?: AbortSignal): Promise<void> {
    if (this.#snapshot) return Promise.resolve();
    if (this.#closed) return Promise.reject(new MeshError('WEFT_CLOSED', this.name));
    if (signal?.aborted) return Promise.reject(this.#reason(signal.reason));
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', () => this.#waiting.delete(waiter) && reject(this.#reason(signal.reason)), { once: true });
      if (this.#absentReason) this.#rejectWaiting(this.#absentReason);
    });
  }

  /** Why there is no configuration, where there is none. */
  get refusal(): Error | undefined {
    return this.#snapshot ? undefined : this.#refusal;
  }

  get tlsMode(): InboundTlsMode {
    return this.#snapshot?.tlsMode ?? 'unknown';
  }

  get proxyProtocol(): ListenerConfig['proxyProtocol'] {
    return this.#snapshot?.config.proxyProtocol;
  }

  get requireClientCertificate(): boolean {
    return this.#snapshot?.requireClientCertificate ?? true;
  }

  /** Ask again for each request: a change of policy also holds on connections that are open. Undefined: refuse. */
  chainFor(connection: ConnectionInfo): FilterChainRuntime | undefined {
    return this.#snapshot?.chainFor(connection);
  }

  open(chain: FilterChainRuntime, connection: ConnectionInfo, head: RequestHead, options: OpenOptions = {}): InboundStream {
    const { telemetry, filterContext: context, load } = this.#options;
    return new ServerStream({ chain, connection, head, httpVersion: options.httpVersion ?? 'HTTP/1.1', router: options.router, telemetry, context, clientCertificate: this.#clientCertificate(connection), bodies: options.bodies, message: options.message, load });
  }

  /** Whether the port carries bytes and no requests; undefined while nothing is known. */
  get isTcp(): boolean | undefined {
    return this.#snapshot?.isTcp;
  }

  /**
   * A connection that carries bytes is there. @returns why it may not be: the caller closes it then. Asked again whenever the
   * configuration changes: who is not allowed any more is cut off.
   */
  openTcp(connection: ConnectionInfo, socket: Socket): string | undefined {
    const { clock = systemClock, telemetry } = this.#options;
    const chain = this.#snapshot?.tcpChainFor(connection);
    if (!chain) return 'no filter chain takes this connection';
    const opened = new InboundTcp({ chain, connection, socket, telemetry, clock });
    if (opened.refusal !== undefined) return opened.refusal;
    const stop = this.onChange(() => {
      const now = this.#snapshot?.tcpChainFor(connection);
      if (now && !opened.isRefusedBy(now)) return;
      socket.destroy();
    });
    socket.once('close', stop);
    return undefined;
  }

  /** Called after each change of configuration. @returns stops it. */
  onChange(fn: () => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  /** Deregisters the port. Requests that still come are served by the last configuration. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#subscription.close();
    for (const subscription of this.#routeSubscriptions.values()) subscription.close();
    this.#rejectWaiting(new MeshError('WEFT_CLOSED', this.name));
    this.#onClose();
  }

  #update(config: ListenerConfig): void {
    this.#watchRoutes(config);
    this.#swap(config);
  }

  #swap(config: ListenerConfig): void {
    const { filterContext: context, clock = systemClock, telemetry } = this.#options;
    let snapshot: InboundSnapshot;
    try {
      snapshot = new InboundSnapshot({ config, context, clock, previous: this.#snapshot, routes: this.#routes });
    } catch (error) {
      this.#failed(error as Error);
      return;
    }
    const previous = this.#snapshot;
    this.#snapshot = snapshot;
    this.#refusal = this.#absentReason = undefined;
    previous?.retire();
    if (config.workload) telemetry.describe?.(config.workload);
    for (const { resolve } of this.#waiting) resolve();
    this.#waiting.clear();
    this.#changed();
  }

  // Removed means that the control plane wants nothing served here, which is not the same as a control plane that is silent.
  #absent(reason: Error): void {
    const { absentHint: hint, logger } = this.#options;
    logger.warn({ listener: this.name, reason: reason.message, ...(hint !== undefined && { hint }) }, 'no inbound configuration: connections are refused');
    this.#snapshot?.retire();
    this.#snapshot = undefined;
    this.#absentReason = this.#refusal = new MeshError('WEFT_NO_CONFIG', `${this.name}: ${hint === undefined ? reason.message : `the control plane has no such Listener: ${hint}`}`, { cause: reason });
    this.#rejectWaiting(this.#absentReason);
    this.#changed();
  }

  #failed(error: Error): void {
    // Every attempt to reach a control plane that is away says so again.
    if (this.#refusal?.message === error.message) return;
    this.#refusal = error;
    // A control plane that is away is reported where the stream is; it takes nothing from a port that has its configuration.
    if (this.#snapshot && error instanceof MeshError && error.code === 'WEFT_NO_CONFIG') return;
    const what = this.#snapshot ? 'inbound configuration rejected, the former stays' : 'no inbound configuration yet';
    this.#options.logger.warn({ listener: this.name, reason: error.message }, what);
  }

  #watchRoutes(config: ListenerConfig): void {
    const { xds, routeType, logger } = this.#options;
    const chains = [...config.filterChains, ...(config.defaultFilterChain ? [config.defaultFilterChain] : [])];
    const names = new Set(chains.flatMap(({ http }) => (http?.route.kind === 'rds' ? [http.route.name] : [])));
    for (const [name, subscription] of this.#routeSubscriptions) {
      if (names.has(name)) continue;
      subscription.close();
      this.#routeSubscriptions.delete(name);
      this.#routes.delete(name);
    }
    if (!routeType) return;
    for (const name of names) {
      if (this.#routeSubscriptions.has(name)) continue;
      // Placed before `watch` returns, since a known resource is told at once.
      let subscription: Subscription | undefined;
      this.#routeSubscriptions.set(name, { close: () => subscription?.close() });
      const rebuild = () => {
        if (this.#snapshot) this.#swap(this.#snapshot.config);
      };
      subscription = xds.watch(routeType, name, {
        onResource: (routes) => {
          this.#routes.set(name, routes);
          rebuild();
        },
        onAbsent: () => {
          this.#routes.delete(name);
          rebuild();
        },
        onError: (error) => logger.warn({ listener: this.name, routes: name, reason: error.message }, 'inbound route configuration rejected, the former stays'),
      });
    }
  }

  #clientCertificate(connection: ConnectionInfo): string | undefined {
    if (!connection.peer) return undefined;
    const own = this.#ownPrincipal();
    let known = this.#clientCertificates.get(connection);
    if (known?.own !== own || !known) {
      known = { own, value: `${own === undefined ? '' : `By=${own};`}URI=${connection.peer.spiffeId}` };
      this.#clientCertificates.set(connection, known);
    }
    return known.value;
  }

  #reason(fallback: unknown): Error {
    return this.#refusal ?? (fallback instanceof Error ? fallback : new MeshError('WEFT_NO_CONFIG', this.name));
  }

  #rejectWaiting(error: Error): void {
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting.clear();
  }

  #changed(): void {
    for (const fn of [...this.#listeners]) fn();
  }
}
