import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { ProxyProtocolConfig_Version as Version } from '@weft/xds-api/core';
import { TcpProxySchema } from '@weft/xds-api/http';
import { ListenerFilterSchema, ListenerSchema, ProxyProtocolSchema, type Listener } from '@weft/xds-api/listener';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import type { ResourceType } from '../xds/resource-type.js';
import { decodeFilterChain, decodeFilterChains } from './filter-chain.js';
import { deepFreeze } from './freeze.js';
import { decodeHttpConnectionManager } from './http-connection-manager.js';
import type { HttpFilterRegistry, Side } from './http-filter.js';
import type { ListenerConfig, OutboundTcpChainConfig } from './listener-config.js';
import { knownFields, Report } from './report.js';
import type { CertificateProviders } from './tls.js';
import { filterMetadata, servicesOf, typeNameOf, unpack, workloadOf } from './value.js';

// How a socket is opened and tuned is the application's choice in a process; it is not what the listener is for.
const fields = knownFields(
  ListenerSchema,
  ['name', 'address', 'filter_chains', 'default_filter_chain', 'metadata', 'listener_filters', 'api_listener'],
  ['stat_prefix', 'per_connection_buffer_limit_bytes', 'drain_type', 'listener_filters_timeout', 'continue_on_listener_filters_timeout', 'socket_options', 'tcp_fast_open_queue_length', 'traffic_direction', 'connection_balance_config', 'reuse_port', 'enable_reuse_port', 'access_log', 'tcp_backlog_size', 'max_connections_to_accept_per_socket_event', 'enable_mptcp', 'ignore_global_conn_limit', 'bypass_overload_manager', 'freebind', 'bind_to_port', 'tcp_keepalive', 'per_connection_buffer_high_watermark_timeout'],
);

const listenerFilterFields = knownFields(ListenerFilterSchema, ['name', 'typed_config']);
// TLVs would go into dynamic metadata, or to upstreams that a server has none of.
const proxyFields = knownFields(ProxyProtocolSchema, ['allow_requests_without_proxy_protocol', 'disallowed_versions'], ['stat_prefix', 'pass_through_tlvs']);

// Weft tells TLS from plain text and reads SNI and ALPN itself.
const inspectors = new Set(['envoy.filters.listener.tls_inspector', 'envoy.filters.listener.http_inspector']);

export interface ListenerTypeOptions {
  filters: HttpFilterRegistry;
  /** `client`: what a name means when it is dialled (api_listener). `server`: what an open port does (filter chains). */
  side: Side;
  certificateProviders: CertificateProviders;
}

export function listenerType({ filters, side, certificateProviders }: ListenerTypeOptions): ResourceType<ListenerConfig> {
  return {
    typeUrl: typeUrl(ListenerSchema),
    name: 'Listener',
    fullState: true,
    decode(value) {
      const listener = fromBinary(ListenerSchema, value);
      const report = new Report();
      report.check(fields, listener, '');
      if (listener.name === '') report.add('name', 'must not be empty');
      const resource = side !== 'server' ? decodeClient(listener, side, filters, certificateProviders, report) : decodeServer(listener, filters, certificateProviders, report);
      report.finish(`Listener ${listener.name}`);
      return { name: listener.name, resource: deepFreeze(resource) };
    },
  };
}

// A Listener may carry both sides; each reads its own half.
function decodeClient(listener: Listener, side: Side, filters: HttpFilterRegistry, providers: CertificateProviders, report: Report): ListenerConfig {
  const any = listener.apiListener?.apiListener;
  if (!any && hasTcpProxy(listener)) return { name: listener.name, tcp: decodeTcp(listener, filters, providers, report), filterChains: [], ...described(listener) };
  if (!any) report.add('api_listener', 'is required: this name was dialled by a client');
  const api = any && decodeHttpConnectionManager(any, side, filters, 'api_listener.api_listener', report);
  return { name: listener.name, ...(api && { api }), filterChains: [], ...described(listener) };
}

function hasTcpProxy({ filterChains, defaultFilterChain }: Listener): boolean {
  return [...filterChains, ...(defaultFilterChain ? [defaultFilterChain] : [])].some(({ filters }) =>
    filters.some(({ configType }) => configType.case === 'typedConfig' && typeNameOf(configType.value) === TcpProxySchema.typeName));
}

/** The chains of a byte stream. In a process nothing is known of a connection but the server name it will ask for. */
function decodeTcp(listener: Listener, filters: HttpFilterRegistry, providers: CertificateProviders, report: Report): OutboundTcpChainConfig[] {
  const chains = decodeFilterChains(listener.filterChains, 'client', filters, providers, report);
  const fallback = listener.defaultFilterChain && decodeFilterChain(listener.defaultFilterChain, 'client', filters, providers, 'default_filter_chain', report);
  return [...chains.map((chain, i) => ({ chain, path: `filter_chains[${i}]` })), ...(fallback ? [{ chain: fallback, path: 'default_filter_chain' }] : [])].flatMap(({ chain: { match, tcp, tls }, path }) => {
    const { serverNames, destinationPort, prefixRanges, sourcePrefixRanges, sourcePorts, sourceType, applicationProtocols } = match;
    if (destinationPort !== undefined || prefixRanges.length + sourcePrefixRanges.length + sourcePorts.length + applicationProtocols.length > 0 || sourceType !== 'any') report.add(`${path}.filter_chain_match`, 'clients can match server_names only');
    if (tls) report.unsupported(`${path}.transport_socket`);
    if (!tcp) report.add(`${path}.filters`, 'HTTP of a client stands in api_listener');
    if (tcp && tcp.rbac.length > 0) report.add(`${path}.filters`, 'RBAC judges connections at servers');
    return tcp ? [{ serverNames, proxy: tcp.proxy }] : [];
  });
}

function decodeServer(listener: Listener, filters: HttpFilterRegistry, providers: CertificateProviders, report: Report): ListenerConfig {
  const proxyProtocol = decodeListenerFilters(listener, report);
  const filterChains = decodeFilterChains(listener.filterChains, 'server', filters, providers, report);
  const defaultFilterChain = listener.defaultFilterChain && decodeFilterChain(listener.defaultFilterChain, 'server', filters, providers, 'default_filter_chain', report);
  if (listener.filterChains.length === 0 && !listener.defaultFilterChain) report.add('filter_chains', 'must not be empty');
  const address = decodeAddress(listener, report);
  return { name: listener.name, ...(address && { address }), ...(proxyProtocol && { proxyProtocol }), filterChains, ...(defaultFilterChain && { defaultFilterChain }), ...described(listener) };
}

function decodeListenerFilters({ listenerFilters }: Listener, report: Report): ListenerConfig['proxyProtocol'] {
  let proxyProtocol: ListenerConfig['proxyProtocol'];
  listenerFilters.forEach((filter, i) => {
    const { name, configType } = filter;
    const path = `listener_filters[${i}]`;
    report.check(listenerFilterFields, filter, path);
    const any = configType.case === 'typedConfig' ? configType.value : undefined;
    if (name === 'envoy.filters.listener.proxy_protocol' || (any && typeNameOf(any) === ProxyProtocolSchema.typeName)) proxyProtocol = decodeProxyProtocol(any, `${path}.typed_config`, report);
    else if (!inspectors.has(name)) report.unsupported(path);
  });
  return proxyProtocol;
}

function decodeProxyProtocol(any: Any | undefined, path: string, report: Report): ListenerConfig['proxyProtocol'] {
  if (!any) {
    report.add(path, 'is required');
    return undefined;
  }
  const message = unpack(any, ProxyProtocolSchema, path, report);
  if (!message) return undefined;
  report.check(proxyFields, message, path);
  const versions = (['v1', 'v2'] as const).filter((version) => !message.disallowedVersions.includes(version === 'v1' ? Version.V1 : Version.V2));
  if (versions.length === 0) report.add(`${path}.disallowed_versions`, 'must leave a version');
  return { optional: message.allowRequestsWithoutProxyProtocol, versions };
}

function decodeAddress({ address }: Listener, report: Report): ListenerConfig['address'] {
  if (address?.address.case !== 'socketAddress') {
    report.add('address', 'socket_address is required');
    return undefined;
  }
  const { address: host, portSpecifier } = address.address.value;
  if (portSpecifier.case !== 'portValue' || portSpecifier.value > 65_535) {
    report.add('address.socket_address.port_value', 'must be 0 to 65535');
    return undefined;
  }
  return { host, port: portSpecifier.value };
}

function described(listener: Listener): Pick<ListenerConfig, 'services' | 'workload'> {
  const metadata = filterMetadata(listener.metadata);
  const workload = workloadOf(metadata);
  return { services: servicesOf(metadata), ...(workload && { workload }) };
}
