// Valid resources for tests of decoders, each to be broken in one place.
import { create, toBinary, type DescMessage, type MessageInitShape, type MessageShape } from '@weft/xds-api/protobuf';
import { packAny } from '@weft/xds-api';
import { Cluster_DiscoveryType, ClusterSchema } from '@weft/xds-api/cluster';
import { ClusterLoadAssignmentSchema } from '@weft/xds-api/endpoint';
import { HTTPFaultSchema } from '@weft/xds-api/filter-fault';
import { RBACFilterSchema } from '@weft/xds-api/filter-rbac';
import { HttpConnectionManagerSchema, RouterSchema, TcpProxySchema } from '@weft/xds-api/http';
import { ListenerSchema } from '@weft/xds-api/listener';
import { RouteConfigurationSchema, type RouteSchema } from '@weft/xds-api/route';
import { DownstreamTlsContextSchema, UpstreamTlsContextSchema } from '@weft/xds-api/tls';
import { builtinFilters } from '../filter/builtin.js';
import type { HttpFilterFactory } from '../filter/http-filter.js';
import { builtinLoadBalancers } from '../load-balancing/builtin.js';
import { DecodeError, type ResourceType } from '../xds/resource-type.js';
import { clusterType } from './cluster.js';
import { endpointPolicy } from './endpoint-policy.js';
import { endpointType } from './endpoint.js';
import { HttpFilterRegistry } from './http-filter.js';
import { listenerType } from './listener.js';
import { routeConfigurationType } from './route-configuration.js';

const certificateProviders = new Set(['default']);
const policy = endpointPolicy({ allowLoopback: false });

export function testTypes(extra: readonly HttpFilterFactory[] = []) {
  const filters = new HttpFilterRegistry([...builtinFilters, ...extra]);
  return {
    client: listenerType({ filters, side: 'client', certificateProviders }),
    server: listenerType({ filters, side: 'server', certificateProviders }),
    routes: routeConfigurationType({ filters }),
    cluster: clusterType({ loadBalancers: builtinLoadBalancers, certificateProviders, policy }),
    endpoints: endpointType({ policy }),
  };
}

export const types = testTypes();

type Init<T extends DescMessage> = Exclude<MessageInitShape<T>, MessageShape<T>>;

export function encode<T extends DescMessage>(schema: T, init: MessageInitShape<T>): Uint8Array {
  return toBinary(schema, create(schema, init) as MessageShape<T>);
}

/** `path: reason` of every problem; empty where the resource is taken. */
export function problemsOf(type: ResourceType<unknown>, bytes: Uint8Array): string[] {
  try {
    type.decode(bytes);
    return [];
  } catch (error) {
    if (error instanceof DecodeError) return error.problems.map(({ path, reason }) => `${path}: ${reason}`);
    throw error;
  }
}

export const ads = { configSourceSpecifier: { case: 'ads', value: {} } } as const;
export const router = { name: 'router', configType: { case: 'typedConfig', value: packAny(RouterSchema, {}) } } as const;
export const fault = { name: 'fault', configType: { case: 'typedConfig', value: packAny(HTTPFaultSchema, {}) } } as const;
export const faultConfig = (init: Init<typeof HTTPFaultSchema> = {}) => packAny(HTTPFaultSchema, init as never);
export const rbac = { name: 'rbac', configType: { case: 'typedConfig', value: packAny(RBACFilterSchema, {}) } } as const;
export const rds = { case: 'rds', value: { configSource: ads, routeConfigName: 'routes' } } as const;

export function manager(init: Init<typeof HttpConnectionManagerSchema> = {}) {
  return packAny(HttpConnectionManagerSchema, { routeSpecifier: rds, httpFilters: [router], ...init });
}

export function clientListener(init: Init<typeof HttpConnectionManagerSchema> = {}, name = 'payments:8080'): Uint8Array {
  return encode(ListenerSchema, { name, apiListener: { apiListener: manager(init) } });
}

type ChainInit = NonNullable<Init<typeof ListenerSchema>['filterChains']>[number];

export function chain(init: Partial<ChainInit> = {}): ChainInit {
  return { filters: [{ name: 'hcm', configType: { case: 'typedConfig', value: manager() } }], ...init } as ChainInit;
}

export function serverListener(init: Init<typeof ListenerSchema> = {}): Uint8Array {
  return encode(ListenerSchema, {
    name: 'in',
    address: { address: { case: 'socketAddress', value: { address: '10.0.0.1', portSpecifier: { case: 'portValue', value: 8080 } } } },
    filterChains: [chain()],
    ...init,
  });
}

type RouteInit = Init<typeof RouteSchema>;

export const toCluster = { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: 'c' } } } as const;

export function route(init: RouteInit = {}): RouteInit {
  return { match: { pathSpecifier: { case: 'prefix', value: '' } }, action: toCluster, ...init };
}

export function routes(list: RouteInit[], init: Init<typeof RouteConfigurationSchema> = {}): Uint8Array {
  return encode(RouteConfigurationSchema, { name: 'routes', virtualHosts: [{ name: 'v', domains: ['*'], routes: list }], ...init });
}

/** One route to each cluster, told apart by path; `with` adds to every route. */
export function forwardTo(...names: string[]): Uint8Array {
  return forwardTo.with({}, ...names);
}
forwardTo.with = (init: RouteInit, ...names: string[]): Uint8Array =>
  routes(names.map((name) => ({ match: { pathSpecifier: { case: 'prefix', value: `/${name}` } }, action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: name } } }, ...init })));

export function cluster(init: Init<typeof ClusterSchema> = {}): Uint8Array {
  return encode(ClusterSchema, { name: 'c', clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS }, edsClusterConfig: { edsConfig: ads }, ...init });
}

type LocalityInit = NonNullable<Init<typeof ClusterLoadAssignmentSchema>['endpoints']>[number];
type EndpointInit = NonNullable<LocalityInit['lbEndpoints']>[number];

export function endpoint(address: string, port = 8080, init: Partial<EndpointInit> = {}): EndpointInit {
  return { hostIdentifier: { case: 'endpoint', value: { address: { address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } } } } }, ...init } as EndpointInit;
}

export function locality(zone: string, lbEndpoints: EndpointInit[], init: Partial<LocalityInit> = {}): LocalityInit {
  return { locality: { zone }, loadBalancingWeight: 1, lbEndpoints, ...init } as LocalityInit;
}

export function assignment(endpoints: LocalityInit[], init: Init<typeof ClusterLoadAssignmentSchema> = {}): Uint8Array {
  return encode(ClusterLoadAssignmentSchema, { clusterName: 'c', endpoints, ...init });
}

const instance = { instanceName: 'default' };
const validation = (init: object = {}) => ({ case: 'validationContext', value: { caCertificateProviderInstance: instance, ...init } }) as const;

export function upstreamTls(common: object = {}, context: object = {}, validationInit: object = {}) {
  const value = packAny(UpstreamTlsContextSchema, { commonTlsContext: { tlsCertificateProviderInstance: instance, validationContextType: validation(validationInit), ...common }, ...context } as never);
  return { name: 'envoy.transport_sockets.tls', configType: { case: 'typedConfig', value } } as const;
}

export function downstreamTls(common: object = {}, context: object = {}, validationInit: object = {}) {
  const value = packAny(DownstreamTlsContextSchema, { commonTlsContext: { tlsCertificateProviderInstance: instance, validationContextType: validation(validationInit), ...common }, requireClientCertificate: true, ...context } as never);
  return { name: 'envoy.transport_sockets.tls', configType: { case: 'typedConfig', value } } as const;
}

/** A client's listener of bytes to one cluster. */
export function bytesListener(name: string, to: string, serverNames: string[] = []): Uint8Array {
  const proxy = { name: 'tcp', configType: { case: 'typedConfig', value: packAny(TcpProxySchema, { clusterSpecifier: { case: 'cluster', value: to } }) } } as const;
  return toBinary(ListenerSchema, create(ListenerSchema, { name, filterChains: [{ filterChainMatch: { serverNames }, filters: [proxy] }] }));
}
