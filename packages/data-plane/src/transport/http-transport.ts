// One undici Pool per host and generation of TLS: connections of an old identity finish what they do and close.
import { isIP } from 'node:net';
import type { TlsContexts } from '@weft/spiffe';
import { Pool, type Dispatcher } from 'undici';
import { MeshError } from '../errors.js';
import type { ClusterConfig, EndpointConfig } from '../resource/cluster-config.js';
import type { ProxyProtocolVersion, UpstreamTlsConfig } from '../resource/tls-config.js';
import type { Host, HostCluster, HostTransport } from '../upstream/host.js';
import { connect, UpstreamConnectError, type ConnectTarget } from './connector.js';
import { endWhenSilent } from './liveness.js';
import { tlsOptionsOf } from './tls-options.js';
import { upstreamSecurity, type UpstreamSecurity } from './upstream-tls.js';

const forever = 2 ** 31 - 1;

export class HttpTransport {
  readonly #tls: TlsContexts | undefined;
  readonly #open = new Set<HostPool>();
  readonly #unsubscribe: (() => void) | undefined;

  constructor({ tls }: { tls: TlsContexts | undefined }) {
    this.#tls = tls;
    // Idle pools must not keep connections of an old identity until their host's next request.
    this.#unsubscribe = tls?.subscribe(() => {
      for (const pool of this.#open) pool.retireIfSecure();
    });
  }

  /** @throws {@link UpstreamConnectError} where the endpoint must not be talked to. */
  dispatcher(host: Host, cluster: HostCluster): Dispatcher {
    const existing = host.transports.get('http') as HostPool | undefined;
    if (existing?.fits(host.config, cluster.config)) return existing.pool;
    const settings = settingsOf(cluster.config, host.config);
    if (existing?.adopt(settings, host.config, cluster.config)) return existing.pool;
    existing?.close();
    const created = new HostPool(settings, host.config, cluster.config, this.#tls, () => this.#open.delete(created));
    this.#open.add(created);
    host.transports.set('http', created);
    return created.pool;
  }

  async close(): Promise<void> {
    this.#unsubscribe?.();
    await Promise.all([...this.#open].map((pool) => pool.closeNow()));
  }
}

/** All that a pool depends on; when an update changes none of it, the pool and its connections stay. */
interface PoolSettings {
  readonly key: string;
  readonly proxyProtocol: ProxyProtocolVersion | undefined;
  readonly tls: { config: UpstreamTlsConfig; ids: readonly string[]; matchers: UpstreamTlsConfig['subjectAltNames'] } | undefined;
}

function settingsOf(cluster: ClusterConfig, endpoint: EndpointConfig): PoolSettings {
  const security = allowedSecurity(cluster, endpoint);
  const tls = security.kind === 'tls' ? { config: security.config, ...security.expected } : undefined;
  const { protocol, connectTimeoutMs, tcpKeepAliveMs, http2KeepAlive, happyEyeballs, sourceAddresses, maxConnectionsPerHost, idleTimeoutMs, maxConnectionDurationMs, maxRequestsPerConnection, maxConcurrentStreams, thresholds } = cluster;
  const key = JSON.stringify([endpoint.address, endpoint.port, endpoint.additionalAddresses, security.proxyProtocol, tls, tcpKeepAliveMs, http2KeepAlive, happyEyeballs, sourceAddresses, maxConnectionsPerHost, protocol, connectTimeoutMs, idleTimeoutMs, maxConnectionDurationMs, maxRequestsPerConnection, maxConcurrentStreams, thresholds.default.maxConnections]);
  return { key, tls, proxyProtocol: security.proxyProtocol };
}

function allowedSecurity(cluster: ClusterConfig, endpoint: EndpointConfig): Exclude<UpstreamSecurity, { kind: 'refused' }> {
  const security = upstreamSecurity(cluster, endpoint);
  if (security.kind === 'refused') throw new UpstreamConnectError('identity', security.reason, { cause: new MeshError('WEFT_PEER_IDENTITY', security.reason) });
  return security;
}

/** For those who need a connection and no pool. @throws {@link UpstreamConnectError} where the endpoint must not be talked to. */
export function connectTarget(cluster: ClusterConfig, endpoint: EndpointConfig, contexts: TlsContexts | undefined): ConnectTarget {
  const security = allowedSecurity(cluster, endpoint);
  return {
    ...plainTarget(cluster, endpoint), proxyProtocol: security.proxyProtocol,
    tlsOptions: security.kind === 'tls' ? tlsOptionsOf(security.config, security.expected, security.config.alpn, contexts) : undefined,
  };
}

function plainTarget(cluster: ClusterConfig, { address, port, additionalAddresses }: EndpointConfig): Omit<ConnectTarget, 'tlsOptions'> {
  const { sourceAddresses } = cluster;
  return {
    address, port, additionalAddresses, timeoutMs: cluster.connectTimeoutMs, keepAliveMs: cluster.tcpKeepAliveMs, happyEyeballs: cluster.happyEyeballs,
    ...(sourceAddresses && { sourceAddress: (to: string) => sourceAddresses.find((from) => isIP(from.address) === isIP(to)) ?? sourceAddresses[0] }),
  };
}

class HostPool implements HostTransport {
  readonly pool: SingleNamePool;
  readonly #key: string;
  readonly #secure: boolean;
  readonly #onClose: () => void;
  #endpoint: EndpointConfig;
  #cluster: ClusterConfig;
  #retired = false;

  constructor(settings: PoolSettings, endpoint: EndpointConfig, cluster: ClusterConfig, contexts: TlsContexts | undefined, onClose: () => void) {
    this.#key = settings.key;
    this.#secure = settings.tls !== undefined;
    this.#endpoint = endpoint;
    this.#cluster = cluster;
    this.#onClose = onClose;
    this.pool = new SingleNamePool(originOf(endpoint, this.#secure), poolOptions(settings, endpoint, cluster, contexts));
  }

  fits(endpoint: EndpointConfig, cluster: ClusterConfig): boolean {
    return this.#endpoint === endpoint && this.#cluster === cluster && !this.#retired;
  }

  /** Whether this pool also serves the newer configurations; it then remembers them. */
  adopt(settings: PoolSettings, endpoint: EndpointConfig, cluster: ClusterConfig): boolean {
    if (this.#retired || settings.key !== this.#key) return false;
    this.#endpoint = endpoint;
    this.#cluster = cluster;
    return true;
  }

  retireIfSecure(): void {
    if (this.#secure) this.close();
  }

  close(): void {
    void this.closeNow();
  }

  async closeNow(): Promise<void> {
    if (this.#retired) return;
    this.#retired = true;
    this.#onClose();
    await this.pool.close().catch(() => undefined);
  }
}

/**
 * undici takes the TLS server name from each request's Host header and reconnects when it changes. Ours is the logical name, which
 * has many spellings for one endpoint, and the certificate is not checked against it: one name for all.
 */
class SingleNamePool extends Pool {
  override dispatch(options: Dispatcher.DispatchOptions & { servername?: string }, handler: Dispatcher.DispatchHandler): boolean {
    options.servername = 'mesh';
    return super.dispatch(options, handler);
  }
}

function originOf({ address, port }: EndpointConfig, secure: boolean): string {
  const host = port === 0 ? 'localhost' : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return `${secure ? 'https' : 'http'}://${host}`;
}

function poolOptions({ tls, proxyProtocol }: PoolSettings, endpoint: EndpointConfig, cluster: ClusterConfig, contexts: TlsContexts | undefined): Pool.Options {
  const h2 = cluster.protocol === 'http2' || (cluster.protocol === 'auto' && tls !== undefined);
  const alpn = tls && offeredProtocols(tls.config.alpn, cluster.protocol);
  const target = { ...plainTarget(cluster, endpoint), proxyProtocol, tlsOptions: tls && tlsOptionsOf(tls.config, tls, alpn!, contexts) };
  const { http2KeepAlive, maxConcurrentStreams } = cluster;
  const plainH2 = h2 && tls === undefined;
  const maxAge = cluster.maxConnectionDurationMs;
  return {
    connections: Math.min(cluster.thresholds.default.maxConnections, cluster.maxConnectionsPerHost ?? Infinity),
    pipelining: 1,
    allowH2: h2,
    ...(plainH2 && { useH2c: true }),
    ...(h2 && (maxConcurrentStreams !== undefined || http2KeepAlive) && { h2Options: { ...(maxConcurrentStreams !== undefined && { maxConcurrentStreams }), ...(http2KeepAlive && { pingInterval: http2KeepAlive.intervalMs }) } }),
    keepAliveTimeout: cluster.idleTimeoutMs || forever,
    keepAliveMaxTimeout: cluster.idleTimeoutMs || forever,
    // The engine has its own timers; undici's 300 s would cut streams that the mesh allows.
    headersTimeout: 0,
    bodyTimeout: 0,
    ...(cluster.maxRequestsPerConnection !== undefined && { maxRequestsPerClient: cluster.maxRequestsPerConnection }),
    ...(maxAge !== undefined && { clientTtl: maxAge }),
    connect: (_options, callback) => {
      connect(target, (error, socket) => {
        if (error) return callback(error, null);
        if (h2 && http2KeepAlive) endWhenSilent(socket!, http2KeepAlive);
        if (plainH2) (socket as unknown as { alpnProtocol: string }).alpnProtocol = 'h2';
        callback(null, socket!);
      });
    },
  } as Pool.Options;
}

/** `istio` and the like stay: peers choose their filter chain by them. Of the HTTP versions, only what this cluster speaks. */
function offeredProtocols(configured: readonly string[], protocol: ClusterConfig['protocol']): string[] {
  const versions = protocol === 'http1' ? ['http/1.1'] : protocol === 'http2' ? ['h2'] : ['h2', 'http/1.1'];
  return [...configured.filter((name) => name !== 'h2' && name !== 'http/1.1' && name !== 'http/1.0'), ...versions];
}
