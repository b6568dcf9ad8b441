// One plain grpc-js channel per host and generation of TLS. Balancing, retries and timeouts are the engine's, so grpc-js's are off.
import * as grpc from '@grpc/grpc-js';
import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { channelCredentials, withSockets, type TlsContexts } from '@weft/spiffe';
import { MeshError } from '../errors.js';
import type { ClusterConfig, EndpointConfig, HostAddress } from '../resource/cluster-config.js';
import type { ProxyProtocolVersion } from '../resource/tls-config.js';
import type { Host, HostCluster, HostTransport } from '../upstream/host.js';
import { UpstreamConnectError } from './connector.js';
import { interleaved } from './happy-eyeballs.js';
import { ownHeader } from './proxy-protocol.js';
import { tlsOptionsOf } from './tls-options.js';
import { upstreamSecurity, usesIdentity, type UpstreamSecurity } from './upstream-tls.js';

export { grpc };

export class GrpcTransport {
  readonly #tls: TlsContexts | undefined;
  readonly #open = new Set<HostChannel>();
  readonly #unsubscribe: (() => void) | undefined;

  constructor({ tls }: { tls: TlsContexts | undefined }) {
    this.#tls = tls;
    this.#unsubscribe = tls?.subscribe(() => {
      for (const channel of this.#open) channel.retireIfSecure();
    });
  }

  /** @throws {@link UpstreamConnectError} where the endpoint must not be talked to. */
  channel(host: Host, cluster: HostCluster): grpc.Channel {
    const existing = host.transports.get('grpc') as HostChannel | undefined;
    if (existing?.fits(host.config, cluster.config) && existing.takes(cluster.config)) return existing.channel;
    const security = upstreamSecurity(cluster.config, host.config);
    if (security.kind === 'refused') throw new UpstreamConnectError('identity', security.reason, { cause: new MeshError('WEFT_PEER_IDENTITY', security.reason) });
    const { address, port, additionalAddresses } = host.config;
    const { idleTimeoutMs, http2KeepAlive, tcpKeepAliveMs, sourceAddresses } = cluster.config;
    // Going out from another address than the one that was asked for may be what a firewall is there to stop.
    if (sourceAddresses) throw new UpstreamConnectError('connect-failure', `upstream_bind_config of ${cluster.name} cannot be kept for gRPC: grpc-js chooses the source address`);
    const key = JSON.stringify([address, port, additionalAddresses, security, idleTimeoutMs, http2KeepAlive, tcpKeepAliveMs]);
    if (existing?.adopt(key, host.config, cluster.config) && existing.takes(cluster.config)) return existing.channel;
    existing?.close();
    const channel = new grpc.Channel(targetOf(host.config), preparedCredentials(security, this.#tls, tcpKeepAliveMs), {
      // Nothing shared with the application's own channels, nor with another cluster that expects another identity at this address.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      // Its counters cost every call; the mesh has its own.
      'grpc.enable_channelz': 0,
      'grpc.service_config_disable_resolution': 1,
      // A host that comes back is found within a second; the default lets it wait for up to two minutes.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      // The limits of the application's channel are checked above this one.
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      ...(http2KeepAlive && { 'grpc.keepalive_time_ms': http2KeepAlive.intervalMs, 'grpc.keepalive_timeout_ms': http2KeepAlive.timeoutMs, 'grpc.keepalive_permit_without_calls': 1 }),
      ...(idleTimeoutMs > 0 && { 'grpc.client_idle_timeout_ms': Math.max(1000, idleTimeoutMs) }),
      ...(security.kind === 'tls' && security.config.sni && { 'grpc.ssl_target_name_override': security.config.sni }),
    });
    const created = new HostChannel(channel, { key, secure: security.kind === 'tls', endpoint: host.config, cluster: cluster.config }, () => this.#open.delete(created));
    this.#open.add(created);
    host.transports.set('grpc', created);
    created.takes(cluster.config);
    return channel;
  }

  close(): void {
    this.#unsubscribe?.();
    for (const channel of this.#open) channel.closeNow();
  }
}

interface Made {
  readonly key: string;
  readonly secure: boolean;
  endpoint: EndpointConfig;
  cluster: ClusterConfig;
}

class HostChannel implements HostTransport {
  readonly channel: grpc.Channel;
  readonly #made: Made;
  readonly #onClose: () => void;
  #retired = false;
  #calls = 0;
  readonly #since = performance.now();

  constructor(channel: grpc.Channel, made: Made, onClose: () => void) {
    this.channel = channel;
    this.#made = made;
    this.#onClose = onClose;
  }

  fits(endpoint: EndpointConfig, cluster: ClusterConfig): boolean {
    return this.#made.endpoint === endpoint && this.#made.cluster === cluster && !this.#retired;
  }

  adopt(key: string, endpoint: EndpointConfig, cluster: ClusterConfig): boolean {
    if (this.#retired || key !== this.#made.key) return false;
    this.#made.endpoint = endpoint;
    this.#made.cluster = cluster;
    return true;
  }

  /** Whether one more call may go onto its connection, by the cluster's limits of a connection's calls and age. Counts it. */
  takes({ maxRequestsPerConnection = Infinity, maxConnectionDurationMs = Infinity }: ClusterConfig): boolean {
    return ++this.#calls <= maxRequestsPerConnection && performance.now() - this.#since < (maxConnectionDurationMs || Infinity);
  }

  retireIfSecure(): void {
    if (this.#made.secure) this.close();
  }

  /**
   * Calls that run finish on their connection; grpc-js closes it after the last. But it fails calls that wait for the connection
   * ("Channel closed before call started"), so those are let onto it first.
   */
  close(): void {
    if (!this.#retire()) return;
    const { channel } = this;
    const close = () => void setTimeout(() => channel.close(), startMs).unref();
    const state = channel.getConnectivityState(false);
    if (state === grpc.connectivityState.CONNECTING) channel.watchConnectivityState(state, Date.now() + this.#made.cluster.connectTimeoutMs, close);
    else close();
  }

  closeNow(): void {
    if (this.#retire()) this.channel.close();
  }

  #retire(): boolean {
    if (this.#retired) return false;
    this.#retired = true;
    this.#onClose();
    return true;
  }
}

/** For a call to be started on a connection that is ready. It takes a few microtasks. */
const startMs = 100;

function targetOf({ address, port, additionalAddresses = [] }: EndpointConfig): string {
  if (port === 0) return `unix:${address}`;
  if (additionalAddresses.length > 0) return targetOfMany(interleaved([{ address, port }, ...additionalAddresses]));
  if (address.includes(':')) return `ipv6:[${address}]:${port}`;
  return /^[\d.]+$/.test(address) ? `ipv4:${address}:${port}` : `dns:${address}:${port}`;
}

/**
 * grpc-js tries the addresses of a target one after the other (its own happy eyeballs: 250 ms), but takes one family only: beside IPv6
 * ones, IPv4 addresses are written as IPv6 does, where this machine has IPv6 at all.
 */
function targetOfMany(addresses: readonly HostAddress[]): string {
  const v4 = addresses.filter(({ address }) => isIPv4(address));
  const mixed = v4.length < addresses.length && Object.values(networkInterfaces()).some((entries) => entries?.some(({ family }) => family === 'IPv6'));
  if (!mixed && v4.length > 0) return `ipv4:${v4.map(({ address, port }) => `${address}:${port}`).join(',')}`;
  return `ipv6:${addresses.map(({ address, port }) => `[${isIPv4(address) ? `::ffff:${address}` : address}]:${port}`).join(',')}`;
}

function preparedCredentials(security: UpstreamSecurity, contexts: TlsContexts | undefined, tcpKeepAliveMs: number | undefined): grpc.ChannelCredentials {
  const credentials = credentialsOf(security, contexts);
  const { proxyProtocol } = security as { proxyProtocol?: ProxyProtocolVersion };
  if (proxyProtocol === undefined && tcpKeepAliveMs === undefined) return credentials;
  return withSockets(credentials, (socket) => {
    if (tcpKeepAliveMs !== undefined) socket.setKeepAlive(true, tcpKeepAliveMs);
    if (proxyProtocol) socket.write(ownHeader(proxyProtocol, socket));
  });
}

function credentialsOf(security: UpstreamSecurity, contexts: TlsContexts | undefined): grpc.ChannelCredentials {
  if (security.kind !== 'tls') return grpc.credentials.createInsecure();
  const { config, expected } = security;
  if (usesIdentity(config) && contexts && expected.matchers.length === 0) return channelCredentials(contexts, { expectedIds: expected.ids, ...(config.sni && { servername: config.sni }) });
  try {
    const { secureContext, checkServerIdentity } = tlsOptionsOf(config, expected, ['h2'], contexts)();
    return grpc.credentials.createFromSecureContext(secureContext!, { checkServerIdentity: checkServerIdentity!, rejectUnauthorized: true });
  } catch (error) {
    throw new UpstreamConnectError('identity', (error as Error).message, { cause: error });
  }
}
