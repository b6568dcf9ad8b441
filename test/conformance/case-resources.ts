// The xDS resources of a case.
import { any, type ConformanceCase, type Json, type Protocol } from './conformance-case.js';

const manager = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** @param action what a route without one does. */
export function connectionManagerOf({ filters = [], router: settings = {}, routes = [{}], virtualHost, routeConfiguration, connectionManager }: ConformanceCase, action: Json): Json {
  const router = { name: 'router', typed_config: any('envoy.extensions.filters.http.router.v3.Router', settings) };
  return any(manager, {
    stat_prefix: 'case',
    http_filters: [...filters, router],
    route_config: {
      name: 'routes',
      virtual_hosts: [{ name: 'host', domains: ['*'], ...virtualHost, routes: routes.map((route) => ({ match: { prefix: '/' }, ...(hasAction(route) ? {} : action), ...forwarding(route, action) })) }],
      ...routeConfiguration,
    },
    ...connectionManager,
  });
}

const hasAction = (route: Json) => ['redirect', 'direct_response', 'non_forwarding_action'].some((name) => name in route);

/** A case may say more of its `route` than where it goes; a server has no such action. */
function forwarding(route: Json, action: Json): Json {
  const own = route['route'] as Json | undefined;
  if (!own) return route;
  const rest = Object.fromEntries(Object.entries(route).filter(([name]) => name !== 'route'));
  return 'route' in action ? { ...rest, route: { ...('weighted_clusters' in own || 'cluster_header' in own || 'cluster' in own ? {} : (action['route'] as Json)), ...own } } : { ...rest, ...action };
}

export function clusterOf(name: string, port: number, protocol: Protocol, more: Json = {}): Json {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
    ...(protocol === 'grpc' && {
      typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', { explicit_http_config: { http2_protocol_options: {} } }) },
    }),
    ...more,
  };
}

export function address(port: number): Json {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

/** As a client dials it. */
export function clientListenerOf(name: string, http: Json): Json {
  return { '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', name, api_listener: { api_listener: http } };
}

/** As a server or an Envoy binds it. */
export function boundListenerOf(name: string, port: number, http: Json): Json {
  return { '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', name, address: address(port), filter_chains: [{ name: 'chain', filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: http }] }] };
}
