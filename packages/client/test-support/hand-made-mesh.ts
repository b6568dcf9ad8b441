// A mesh client over hand-made snapshots: the real engine, routes, clusters and sockets, without a control plane.
import { Engine, MeshNames, systemClock, type Clock, type ListenerState, type TlsContexts } from '@weft/data-plane/internal';
import { FilterChain } from '../../data-plane/src/filter/filter-chain.js';
import type { FilterContext } from '../../data-plane/src/filter/http-filter.js';
import { builtinLoadBalancers } from '../../data-plane/src/load-balancing/builtin.js';
import type { LoadBalancerFactory } from '../../data-plane/src/load-balancing/load-balancer.js';
import type { ClusterConfig, EndpointConfig } from '../../data-plane/src/resource/cluster-config.js';
import type { HttpFilterConfig } from '../../data-plane/src/resource/listener-config.js';
import { noMutations, type ForwardActionConfig, type RetryPolicyConfig, type RouteEntryConfig } from '../../data-plane/src/resource/route-config.js';
import { RouteTable } from '../../data-plane/src/route/route-table.js';
import type { StreamInfo } from '../../data-plane/src/stream/stream-info.js';
import { Cluster } from '../../data-plane/src/upstream/cluster.js';
import { MeshClient, type MeshClientOptions } from '../src/mesh-client.js';

export const silent = { debug() {}, info() {}, warn() {}, error() {} };
const noOverrides = new Map<string, unknown>();

export interface Service {
  ports: readonly number[];
  routes?: readonly RouteEntryConfig[];
  cluster?: Partial<ClusterConfig>;
  endpoint?: (port: number) => Partial<EndpointConfig>;
  retryPolicy?: RetryPolicyConfig;
  includeRequestAttemptCount?: boolean;
  /** Services added before whose clusters the routes name, too. */
  clusters?: readonly string[];
  filters?: readonly HttpFilterConfig[];
  idleTimeoutMs?: number;
  /** Beside the built-in ones. */
  loadBalancers?: readonly LoadBalancerFactory[];
}

export class HandMadeMesh {
  readonly ended: StreamInfo[] = [];
  readonly clusters = new Map<string, Cluster>();
  readonly states = new Map<string, ListenerState>();
  readonly engine: Engine;
  readonly client: MeshClient;
  readonly #filterContext: FilterContext;

  constructor({ clock = systemClock, ...options }: { tls?: TlsContexts; clock?: Clock; filterContext?: Partial<FilterContext> } & Omit<Partial<MeshClientOptions>, 'tls'> = {}) {
    this.#filterContext = { random: Math.random, now: Date.now, setTimeout: (run, ms) => systemClock.setTimeout(run, ms), ...options.filterContext };
    this.engine = new Engine({
      listeners: { get: (name) => this.states.get(name) ?? { snapshot: undefined, state: 'absent', wait: async () => undefined } },
      telemetry: { start: () => undefined, end: (info) => void this.ended.push(info) },
      clock,
      names: new MeshNames(),
      configTimeoutMs: 2000,
    });
    this.client = new MeshClient({ engine: this.engine, tls: undefined, ...options });
  }

  /** `name` may be dialled with and without port 80. */
  add(name: string, service: Service): this {
    const clusterName = `outbound|80||${name}`;
    const cluster = new Cluster(clusterConfig(clusterName, service.cluster), { clock: systemClock, random: Math.random, logger: silent, loadBalancers: [...builtinLoadBalancers, ...(service.loadBalancers ?? [])] });
    cluster.setEndpoints({
      clusterName, drops: [], overprovisioningFactor: 140,
      localities: [{ region: '', zone: '', subZone: '', weight: 1, priority: 0, endpoints: service.ports.map((port) => endpointConfig(port, service.endpoint?.(port))) }],
    });
    this.clusters.set(name, cluster);
    const virtualHost = {
      name, domains: ['*'], routes: service.routes ?? [route({ cluster: clusterName })], mutations: noMutations, includeRequestAttemptCount: service.includeRequestAttemptCount ?? false,
      filterOverrides: noOverrides, ...(service.retryPolicy && { retryPolicy: service.retryPolicy }),
    };
    const routes = new RouteTable({ name, virtualHosts: [virtualHost], mutations: noMutations, mostSpecificHeaderMutationsWins: false, ignorePortInHostMatching: false, maxDirectResponseBodySize: 4096, filterOverrides: noOverrides });
    const filters = new FilterChain(service.filters ?? [], this.#filterContext);
    const clusters = new Map([name, ...(service.clusters ?? [])].map((other) => [`outbound|80||${other}`, this.clusters.get(other)!]));
    const snapshot = { name: `${name}:80`, routes, filters, clusters, maxStreamDurationMs: 0, ...(service.idleTimeoutMs !== undefined && { streamIdleTimeoutMs: service.idleTimeoutMs }), upgrades: new Map([['websocket', true], ['echo', true]]) };
    this.states.set(`${name}:80`, { snapshot, state: 'ready', wait: async () => undefined });
    return this;
  }

  async close(): Promise<void> {
    await this.client.close();
    for (const cluster of this.clusters.values()) cluster.close();
  }
}

export function route(options: { cluster?: string; prefix?: string; name?: string; mutations?: RouteEntryConfig['mutations']; action?: RouteEntryConfig['action'] } & Partial<Omit<ForwardActionConfig, 'cluster'>>): RouteEntryConfig {
  const { cluster = '', prefix = '/', name = 'default', mutations = noMutations, action, ...forward } = options;
  return {
    name, mutations, filterOverrides: noOverrides, metadata: {},
    match: { path: { kind: 'prefix', value: prefix, caseSensitive: true }, headers: [], queryParameters: [], grpc: false },
    action: action ?? { kind: 'route', cluster: { kind: 'cluster', name: cluster }, clusterNotFoundStatus: 503, timeoutMs: 0, appendXForwardedHost: false, hashPolicies: [], mirrors: [], priority: 'default', ...forward },
  };
}

export function retryPolicy(retryOn: string[], options: Partial<RetryPolicyConfig> = {}): RetryPolicyConfig {
  return { retryOn, numRetries: 2, retriableStatusCodes: [], retriableHeaders: [], retriableRequestHeaders: [], backoff: { baseMs: 1, maxMs: 2 }, avoidPreviousHosts: true, hostSelectionAttempts: 5, ...options };
}

export function clusterConfig(name: string, options: Partial<ClusterConfig> = {}): ClusterConfig {
  const thresholds = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };
  return {
    name, type: { kind: 'eds', serviceName: name }, connectTimeoutMs: 5000, loadBalancing: { policy: 'envoy.load_balancing_policies.round_robin', config: {} },
    thresholds: { default: thresholds, high: thresholds }, idleTimeoutMs: 3_600_000, protocol: 'http1', transportSockets: [], healthyPanicThreshold: 50, overprovisioningFactor: 140,
    localityWeighted: false, closeConnectionsOnHostHealthFailure: false, metadata: {}, ...options,
  };
}

export function endpointConfig(port: number, options: Partial<EndpointConfig> = {}): EndpointConfig {
  return { address: '127.0.0.1', port, hostname: '', weight: 1, health: 'unknown', metadata: {}, identityMissing: false, ...options };
}
