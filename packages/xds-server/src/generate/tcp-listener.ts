// Listeners of dialled ports whose bytes are carried as they are: a tcp_proxy, by server name where TLS is routed.
import { BlockList, isIP } from 'node:net';
import { packAny } from '@weft/xds-api';
import { TcpProxySchema } from '@weft/xds-api/http';
import { ListenerSchema, type FilterChainSchema } from '@weft/xds-api/listener';
import type { StreamMatch, WeightedDestination } from '../model/route-rule.js';
import { isHttp, type Service, type ServicePort } from '../model/service.js';
import type { GenerateContext, GeneratedResource } from './generator.js';
import { consistentHash } from './hash-policy.js';
import { duration, encode, type Init } from './message.js';
import { outboundName, parseDialledName } from './name.js';
import { hasCluster } from './outbound-target.js';
import { effectivePolicy } from './traffic-policy.js';

type FilterChainInit = Init<typeof FilterChainSchema>;
type TcpProxyInit = Init<typeof TcpProxySchema>;

export interface TcpTarget {
  service: Service;
  port: ServicePort;
}

/** Undefined where the name stands for HTTP, or for nothing. */
export function tcpTarget({ model, node }: GenerateContext, name: string): TcpTarget | undefined {
  const dialled = parseDialledName(name);
  const service = dialled && model.resolve(dialled.host, node.namespace);
  const port = service?.ports.find(({ number }) => number === dialled?.port);
  return service && port && !isHttp(port.protocol) ? { service, port } : undefined;
}

/** None where there is nothing to connect to. */
export function tcpChains(context: GenerateContext, target: TcpTarget): FilterChainInit[] {
  return routedChains(context, target) ?? ownChain(context, target);
}

export function tcpListener(context: GenerateContext, name: string, target: TcpTarget): GeneratedResource | undefined {
  const filterChains = tcpChains(context, target);
  if (filterChains.length === 0) return undefined;
  return encode(ListenerSchema, { name, filterChains });
}

/** To the dialled service itself. */
function ownChain(context: GenerateContext, { service, port }: TcpTarget): FilterChainInit[] {
  if (!hasCluster(service, port)) {
    context.warn(`${service.origin}: resolution ${service.resolution} of ${service.host} gives no address to connect to: left to the application's own client`);
    return [];
  }
  return [chain(context, port, [], [{ host: service.host, subset: '', weight: 1 }])];
}

/** Undefined where no route of a rule is meant for this client: then it is as if there were no rule. */
function routedChains(context: GenerateContext, { service, port }: TcpTarget): FilterChainInit[] | undefined {
  const rule = context.model.routeRule(service.host, context.node.namespace);
  const secure = port.protocol === 'tls' || port.protocol === 'https';
  const chains: FilterChainInit[] = [];
  const taken = new Set<string>();
  for (const route of (secure ? rule?.tls : rule?.tcp) ?? []) {
    const matches = route.matches.filter((match) => appliesTo(match, context, service, port.number));
    if (route.matches.length > 0 && matches.length === 0) continue;
    if (!secure) return [chain(context, port, [], route.destinations)];
    // Envoy refuses a listener with one name in two chains: the first has it.
    const names = [...new Set(matches.flatMap(({ sniHosts }) => sniHosts))].filter((serverName) => !taken.has(serverName));
    for (const serverName of names) taken.add(serverName);
    if (names.length > 0) chains.push(chain(context, port, names.includes('*') ? [] : names, route.destinations));
  }
  return chains.length > 0 ? chains : undefined;
}

function appliesTo(match: StreamMatch, { node }: GenerateContext, { addresses }: Service, port: number): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== node.namespace) return false;
  // A process dials names: the address that a connection would have gone to is the service's.
  if (match.destinationSubnets.length > 0 && !addresses.some((address) => contains(match.destinationSubnets, address))) return false;
  return Object.entries(match.sourceLabels).every(([name, value]) => node.labels[name] === value);
}

function contains(subnets: readonly string[], address: string): boolean {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', length] = subnet.split('/');
    const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(network, length === undefined ? (family === 'ipv6' ? 128 : 32) : Number(length), family);
  }
  return isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

function chain(context: GenerateContext, port: ServicePort, serverNames: string[], destinations: readonly WeightedDestination[]): FilterChainInit {
  const live = destinations.length === 1 ? destinations : destinations.filter(({ weight }) => weight > 0);
  const clusterOf = ({ host, port: other, subset }: WeightedDestination) => outboundName(host, other ?? port.number, subset);
  const [first] = live;
  const proxy: TcpProxyInit = {
    statPrefix: first ? clusterOf(first) : '',
    clusterSpecifier: live.length === 1 && first
      ? { case: 'cluster', value: clusterOf(first) }
      : { case: 'weightedClusters', value: { clusters: live.map((destination) => ({ name: clusterOf(destination), weight: destination.weight })) } },
    ...(first ? limits(context, first, port.number) : {}),
  };
  return {
    ...(serverNames.length > 0 ? { filterChainMatch: { serverNames } } : {}),
    filters: [{ name: 'envoy.filters.network.tcp_proxy', configType: { case: 'typedConfig', value: packAny(TcpProxySchema, proxy) } }],
  };
}

/** As in Istio, those of the first destination's connection pool hold for all. */
function limits(context: GenerateContext, destination: WeightedDestination, dialledPort: number): TcpProxyInit {
  const { model, node } = context;
  const service = model.resolve(destination.host, node.namespace);
  const pool = service && effectivePolicy(context, service, destination.subset, destination.port ?? dialledPort).connectionPool;
  return {
    ...(pool?.tcpIdleTimeoutMs === undefined ? {} : { idleTimeout: duration(pool.tcpIdleTimeoutMs) }),
    ...(pool?.maxConnectionDurationMs === undefined ? {} : { maxDownstreamConnectionDuration: duration(pool.maxConnectionDurationMs) }),
    ...(consistentHash(context, destination, dialledPort)?.sourceIp === true ? { hashPolicy: [{ policySpecifier: { case: 'sourceIp', value: {} } }] } : {}),
  };
}
