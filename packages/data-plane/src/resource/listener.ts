import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { ListenerSchema, type Listener } from '@weft/xds-api/listener';
import type { ResourceType } from '../xds/resource-type.js';
import { decodeFilterChain, decodeFilterChains } from './filter-chain.js';
import { deepFreeze } from './freeze.js';
import { decodeHttpConnectionManager } from './http-connection-manager.js';
import type { HttpFilterRegistry, Side } from './http-filter.js';
import type { ListenerConfig } from './listener-config.js';
import { knownFields, Report } from './report.js';
import type { CertificateProviders } from './tls.js';
import { filterMetadata, servicesOf, workloadOf } from './value.js';

// How a socket is opened and tuned is the application's choice in a process; it is not what the listener is for.
const fields = knownFields(
  ListenerSchema,
  ['name', 'address', 'filter_chains', 'default_filter_chain', 'metadata', 'listener_filters', 'api_listener'],
  ['stat_prefix', 'per_connection_buffer_limit_bytes', 'drain_type', 'listener_filters_timeout', 'continue_on_listener_filters_timeout', 'socket_options', 'tcp_fast_open_queue_length', 'traffic_direction', 'connection_balance_config', 'reuse_port', 'enable_reuse_port', 'access_log', 'tcp_backlog_size', 'max_connections_to_accept_per_socket_event', 'enable_mptcp', 'ignore_global_conn_limit', 'bypass_overload_manager', 'freebind', 'bind_to_port'],
);

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
      const resource = side !== 'server' ? decodeClient(listener, side, filters, report) : decodeServer(listener, filters, certificateProviders, report);
      report.finish(`Listener ${listener.name}`);
      return { name: listener.name, resource: deepFreeze(resource) };
    },
  };
}

// A Listener may carry both sides; each reads its own half.
function decodeClient(listener: Listener, side: Side, filters: HttpFilterRegistry, report: Report): ListenerConfig {
  const any = listener.apiListener?.apiListener;
  if (!any) report.add('api_listener', 'is required: this name was dialled by a client');
  const api = any && decodeHttpConnectionManager(any, side, filters, 'api_listener.api_listener', report);
  return { name: listener.name, ...(api && { api }), filterChains: [], ...described(listener) };
}

function decodeServer(listener: Listener, filters: HttpFilterRegistry, providers: CertificateProviders, report: Report): ListenerConfig {
  listener.listenerFilters.forEach(({ name }, i) => {
    if (!inspectors.has(name)) report.unsupported(`listener_filters[${i}]`);
  });
  const filterChains = decodeFilterChains(listener.filterChains, filters, providers, report);
  const defaultFilterChain = listener.defaultFilterChain && decodeFilterChain(listener.defaultFilterChain, filters, providers, 'default_filter_chain', report);
  if (listener.filterChains.length === 0 && !listener.defaultFilterChain) report.add('filter_chains', 'must not be empty');
  const address = decodeAddress(listener, report);
  return { name: listener.name, ...(address && { address }), filterChains, ...(defaultFilterChain && { defaultFilterChain }), ...described(listener) };
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
