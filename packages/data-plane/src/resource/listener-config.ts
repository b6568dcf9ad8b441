// Listener and HttpConnectionManager, decoded.
import type { AuthorityOptions } from '../route/authority.js';
import type { HeaderMutation } from '../route/header-mutation.js';
import type { HttpFilterFactory } from '../filter/http-filter.js';
import type { NetworkRbacConfig } from '../filter/network/rbac.js';
import type { DestinationService, WorkloadInfo } from '../stream/stream-info.js';
import type { RouteConfigurationConfig, UpgradesConfig } from './route-config.js';
import type { TcpProxyConfig } from './tcp-proxy.js';
import type { DownstreamTlsConfig, ProxyProtocolVersion } from './tls-config.js';

export interface ListenerConfig {
  name: string;
  /** Client listeners: the API listener's HCM. */
  api?: HttpConnectionManagerConfig;
  /** Client listeners of bytes: by the server name that the application's own TLS asks for. */
  tcp?: readonly OutboundTcpChainConfig[];
  /** Server listeners. */
  address?: { host: string; port: number };
  /** Connections begin with a PROXY protocol header that says who they come from. */
  proxyProtocol?: ListenerProxyProtocolConfig;
  filterChains: readonly FilterChainConfig[];
  defaultFilterChain?: FilterChainConfig;
  /** From filter_metadata.istio. */
  services: readonly DestinationService[];
  workload?: WorkloadInfo;
}

export interface ListenerProxyProtocolConfig {
  /** Connections may also come without one. */
  optional: boolean;
  versions: readonly ProxyProtocolVersion[];
}

export type FilterChainConfig = HttpFilterChainConfig | TcpFilterChainConfig;

interface FilterChainBase {
  name: string;
  /** Empty strings and lists match everything. Order of evaluation: grpc-xds.md 2.6. */
  match: {
    destinationPort?: number;
    prefixRanges: readonly { address: string; prefixLength: number }[];
    serverNames: readonly string[];
    transportProtocol: '' | 'raw_buffer' | 'tls';
    applicationProtocols: readonly string[];
    sourceType: 'any' | 'same-ip-or-loopback' | 'external';
    sourcePrefixRanges: readonly { address: string; prefixLength: number }[];
    sourcePorts: readonly number[];
  };
  /** Absent: plain text. */
  tls?: DownstreamTlsConfig;
}

export interface HttpFilterChainConfig extends FilterChainBase {
  http: HttpConnectionManagerConfig;
  tcp?: undefined;
}

export interface TcpFilterChainConfig extends FilterChainBase {
  tcp: TcpChainConfig;
  http?: undefined;
}

/** Connections are judged once, then their bytes are the application's. On servers the proxy's cluster stands for it. */
export interface TcpChainConfig {
  rbac: readonly NetworkRbacConfig[];
  proxy: TcpProxyConfig;
}

export interface OutboundTcpChainConfig {
  /** Lower case; empty = all. */
  serverNames: readonly string[];
  proxy: TcpProxyConfig;
}

export interface HttpConnectionManagerConfig {
  statPrefix: string;
  route: { kind: 'rds'; name: string } | { kind: 'inline'; config: RouteConfigurationConfig };
  httpFilters: readonly HttpFilterConfig[];
  maxStreamDurationMs?: number;
  streamIdleTimeoutMs?: number;
  requestTimeoutMs?: number;
  upgrades?: UpgradesConfig;
  normalizePath: boolean;
  mergeSlashes: boolean;
  escapedSlashes: 'keep' | 'reject' | 'unescape-and-redirect' | 'unescape-and-forward';
  /** Edits of request headers before they are routed. */
  earlyMutations?: readonly HeaderMutation[];
  /** Absent: the authority stays as it comes. */
  authority?: AuthorityOptions;
}

export interface HttpFilterConfig {
  /** Instance name, by which overrides find it. */
  name: string;
  factory: HttpFilterFactory;
  /** What the factory parsed. */
  config: unknown;
  disabled: boolean;
}
