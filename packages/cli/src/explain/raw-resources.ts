// Envoy's resources in JSON, as what explanations are made over.
import type { ExplainerOptions, ResourceSource } from '@weft/data-plane/explain';
import { Explainer } from '@weft/data-plane/explain';
import { FilterSchema, ListenerSchema, type Listener } from '@weft/xds-api/listener';
import { HttpConnectionManagerSchema } from '@weft/xds-api/http';
import { create, fromJson, toBinary, type JsonValue, type Message } from '@weft/xds-api/protobuf';
import { AnySchema, anyIs, anyUnpack } from '@weft/xds-api/protobuf/wkt';
import { allTypes } from '@weft/xds-api/registry';

/**
 * An Explainer over raw resources: `{"resources": [{"@type": …}, …]}` as `weft generate` prints it, the list alone, or an Envoy bootstrap with
 * `static_resources`. Listeners of proxies (filter chains) count like those of clients (api_listener): found by name, or by the address that
 * they are bound to. Made for thousands of requests in one process: `(await explainer.explain({ url, method, headers, random })).explanation`
 * is what `weft explain --json` prints, `sent` and `response` beside it are the whole heads.
 * @throws {Error} with the place in the list, where one is not a resource.
 */
export function explainResources(json: JsonValue): Explainer {
  const { source, listenerOf, proxy } = readResources(json);
  return new Explainer(source, { listenerOf, proxy });
}

interface RawResources extends Pick<Required<ExplainerOptions>, 'listenerOf' | 'proxy'> {
  readonly source: ResourceSource;
}

function readResources(json: JsonValue): RawResources {
  const values = new Map<string, Uint8Array>();
  const bound = new Map<string, string>();
  let proxy = false;
  for (const { at, resource } of listed(json)) {
    const message = read(resource, at);
    const schema = allTypes().getMessage(message.$typeName);
    if (!schema) throw new Error(`${at}: ${message.$typeName} is not a known type`);
    const name = nameOf(message);
    if (name === '') throw new Error(`${at}: a ${message.$typeName} needs a name`);
    if (message.$typeName === ListenerSchema.typeName) {
      const listener = message as Listener;
      proxy = asClientListener(listener) || proxy;
      const address = addressOf(listener);
      if (address !== undefined) bound.set(address, name);
    }
    values.set(`${message.$typeName} ${name}`, toBinary(schema, message));
  }
  return {
    source: { get: (typeUrl, name) => values.get(`${typeUrl.slice(typeUrl.lastIndexOf('/') + 1)} ${name}`) },
    proxy,
    listenerOf(hostPort) {
      const colon = hostPort.lastIndexOf(':');
      const port = hostPort.slice(colon);
      const named = [hostPort, hostPort.slice(0, colon)].find((name) => values.has(`${ListenerSchema.typeName} ${name}`));
      return named ?? bound.get(hostPort) ?? bound.get(`0.0.0.0${port}`) ?? bound.get(`[::]${port}`);
    },
  };
}

function listed(json: JsonValue): { at: string; resource: JsonValue }[] {
  if (Array.isArray(json)) return json.map((resource, i) => ({ at: `[${i}]`, resource }));
  if (typeof json !== 'object' || json === null) throw new Error('expected {"resources": […]}');
  const list = json['resources'];
  if (Array.isArray(list)) return list.map((resource, i) => ({ at: `resources[${i}]`, resource }));
  const bootstrap = (json['static_resources'] ?? json['staticResources']) as Record<string, JsonValue> | undefined;
  if (typeof bootstrap !== 'object') throw new Error('expected {"resources": […]}, a list of resources or a bootstrap with static_resources');
  const of = (key: string, type: string) => ((bootstrap[key] ?? []) as JsonValue[]).map((resource, i) => ({ at: `static_resources.${key}[${i}]`, resource: { '@type': `type.googleapis.com/envoy.config.${type}`, ...(resource as object) } }));
  return [...of('listeners', 'listener.v3.Listener'), ...of('clusters', 'cluster.v3.Cluster')];
}

function read(resource: JsonValue, at: string): Message {
  try {
    const any = fromJson(AnySchema, resource, { registry: allTypes() });
    const message = anyUnpack(any, allTypes());
    if (message) return message;
    throw new Error(`${any.typeUrl || '@type'} is not a known type`);
  } catch (error) {
    throw new Error(`${at}: ${(error as Error).message}`, { cause: error });
  }
}

/** Every xDS resource is subscribed to by `name`, a ClusterLoadAssignment by `cluster_name`. */
function nameOf(message: Message): string {
  const { name, clusterName, $typeName } = message as Message & { name?: unknown; clusterName?: unknown };
  if (typeof name === 'string' && name !== '') return name;
  if (typeof clusterName === 'string') return clusterName;
  return $typeName === ListenerSchema.typeName ? (addressOf(message as Listener) ?? '') : '';
}

/** What a proxy's port does, as if a client had dialled its name: the connection manager of its first filter chain. */
function asClientListener(listener: Listener): boolean {
  if (listener.apiListener) return false;
  const chains = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
  const filters = chains.flatMap((chain) => chain.filters).map((filter) => create(FilterSchema, filter));
  const manager = filters.map(({ configType }) => (configType.case === 'typedConfig' ? configType.value : undefined)).find((any) => any && anyIs(any, HttpConnectionManagerSchema));
  if (!manager) return false;
  listener.apiListener = { $typeName: 'envoy.config.listener.v3.ApiListener', apiListener: manager };
  listener.name ||= addressOf(listener) ?? '';
  return true;
}

function addressOf({ address }: Listener): string | undefined {
  if (address?.address.case !== 'socketAddress') return undefined;
  const { address: host, portSpecifier } = address.address.value;
  if (portSpecifier.case !== 'portValue') return undefined;
  return `${host.includes(':') ? `[${host}]` : host}:${portSpecifier.value}`;
}
