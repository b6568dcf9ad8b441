// A field of a newer Envoy, in whatever message of a resource it stands, is refused by its number.
import { packAny } from '@weft/xds-api';
import { allTypes } from '@weft/xds-api/registry';
import { ClusterSchema } from '@weft/xds-api/cluster';
import { ClusterLoadAssignmentSchema } from '@weft/xds-api/endpoint';
import { HttpConnectionManagerSchema, TcpProxySchema } from '@weft/xds-api/http';
import { ListenerSchema } from '@weft/xds-api/listener';
import { create, fromBinary, toBinary, type DescField, type DescMessage, type Message } from '@weft/xds-api/protobuf';
import { RouteConfigurationSchema } from '@weft/xds-api/route';
import { SecretSchema, UpstreamTlsContextSchema } from '@weft/xds-api/tls';
import { describe, expect, it } from 'vitest';
import { builtinFilters } from '../filter/builtin.js';
import { builtinLoadBalancers } from '../load-balancing/builtin.js';
import type { ResourceType } from '../xds/resource-type.js';
import { chain, clientListener, cluster, problemsOf, route, serverListener, types, upstreamTls } from './testing.js';
import { knownFieldLists } from './report.js';
import { secretType } from './secret.js';

const unknown = { no: 5000, wireType: 2, data: new Uint8Array([0]) };
const says = '#5000: not supported (a field this version of Weft does not know)';
const read = new Map<string, Set<string>>();
for (const { message, reads } of knownFieldLists) read.set(message, new Set([...(read.get(message) ?? []), ...reads]));

function withUnknown<T extends Message>(message: T): T {
  message.$unknown = [...(message.$unknown ?? []), unknown];
  return message;
}

/** Every way, by fields that are read, to a message within this one, each message once. */
function ways(schema: DescMessage, seen = new Set<string>([schema.typeName])): DescField[][] {
  return schema.fields.flatMap((field) => {
    const inner = field.message;
    if (!inner || read.get(schema.typeName)?.has(field.name) === false || inner.typeName.startsWith('google.') || seen.has(inner.typeName)) return [];
    seen.add(inner.typeName);
    return [[field], ...ways(inner, seen).map((way) => [field, ...way])];
  });
}

function messageAt(schema: DescMessage, [field, ...rest]: readonly DescField[]): Message {
  const message = create(schema) as Message & Record<string, unknown>;
  if (!field?.message) return withUnknown(message);
  const inner = messageAt(field.message, rest);
  if (field.oneof) message[field.oneof.localName] = { case: field.localName, value: inner };
  else message[field.localName] = field.fieldKind === 'list' ? [inner] : field.fieldKind === 'map' ? { key: inner } : inner;
  return message;
}

function pathOf(way: readonly DescField[]): string {
  return way.map((field) => field.name + (field.fieldKind === 'list' ? '[0]' : field.fieldKind === 'map' ? '["key"]' : '')).join('.');
}

const resources: [DescMessage, ResourceType<unknown>][] = [
  [ListenerSchema, types.server], [RouteConfigurationSchema, types.routes], [ClusterSchema, types.cluster], [ClusterLoadAssignmentSchema, types.endpoints], [SecretSchema, secretType],
];

describe.each(resources)('%s', (schema, type) => {
  const all = ways(schema);

  it.each(all.map((way) => [pathOf(way), way] as const))('in %s', (path, way) => {
    expect(problemsOf(type, toBinary(schema, messageAt(schema, way)))).toContainEqual(`${path}.${says}`);
  });
});

const filterMessages = builtinFilters.flatMap((factory) => (factory.messages ?? []).map((schema) => [factory.name, schema, factory] as const));

it.each(filterMessages)('the filter %s refuses them in %s', (_name, schema, factory) => {
  const value = toBinary(schema, withUnknown(create(schema)));
  const typeUrl = `type.googleapis.com/${schema.typeName}`;
  const parse = schema === factory.messages?.[0] ? factory.parse : (factory.parseOverride ?? factory.parse);
  expect(() => parse.call(factory, typeUrl, value)).toThrow(says);
});

it.each(builtinLoadBalancers.map((factory) => [factory.name, factory] as const))('the policy %s refuses them', (_name, { typeUrl, parse }) => {
  const schema = allTypes().getMessage(typeUrl.slice(typeUrl.lastIndexOf('/') + 1))!;
  expect(() => parse(toBinary(schema, withUnknown(create(schema))))).toThrow(says);
});

it('in what is packed within a resource', () => {
  const broken = (schema: DescMessage, value: Uint8Array) => toBinary(schema, withUnknown(fromBinary(schema, value)));
  const listener = fromBinary(ListenerSchema, clientListener());
  const manager = listener.apiListener!.apiListener!;
  manager.value = broken(HttpConnectionManagerSchema, manager.value);
  expect(problemsOf(types.client, toBinary(ListenerSchema, listener))).toContain(`api_listener.api_listener.${says}`);
  const inner = fromBinary(ListenerSchema, clientListener({ routeSpecifier: { case: 'routeConfig', value: { virtualHosts: [{ name: 'v', domains: ['*'], routes: [route({ match: { pathSpecifier: { case: 'prefix', value: '/' }, runtimeFraction: { defaultValue: { numerator: 1 } } } })] }] } } }));
  const withRoutes = fromBinary(HttpConnectionManagerSchema, inner.apiListener!.apiListener!.value);
  if (withRoutes.routeSpecifier.case === 'routeConfig') withUnknown(withRoutes.routeSpecifier.value.virtualHosts[0]!.routes[0]!.match!.runtimeFraction!.defaultValue!);
  inner.apiListener!.apiListener!.value = toBinary(HttpConnectionManagerSchema, withRoutes);
  expect(problemsOf(types.client, toBinary(ListenerSchema, inner))).toEqual([`api_listener.api_listener.route_config.virtual_hosts[0].routes[0].match.runtime_fraction.default_value.${says}`]);
  const proxy = packAny(TcpProxySchema, { clusterSpecifier: { case: 'cluster', value: 'c' } });
  proxy.value = broken(TcpProxySchema, proxy.value);
  expect(problemsOf(types.server, serverListener({ filterChains: [chain({ filters: [{ name: 'tcp', configType: { case: 'typedConfig', value: proxy } }] as never })] }))).toContain(`filter_chains[0].filters[0].typed_config.${says}`);
  const socket = upstreamTls();
  socket.configType.value.value = broken(UpstreamTlsContextSchema, socket.configType.value.value);
  expect(problemsOf(types.cluster, cluster({ transportSocket: socket }))).toContain(`transport_socket.typed_config.${says}`);
});
