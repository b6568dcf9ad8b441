// One dialled name: Listener → RouteConfiguration → clusters, made into a snapshot that is complete before it is seen.
import type { Clock } from '@weft/spiffe';
import { MeshError } from '../errors.js';
import { clustersOf, FilterChain } from '../filter/filter-chain.js';
import type { FilterContext } from '../filter/http-filter.js';
import type { RouterConfig } from '../filter/http/router.js';
import type { ListenerState } from '../outbound/engine.js';
import { foreignOverride } from '../resource/foreign-override.js';
import type { HttpConnectionManagerConfig, HttpFilterConfig, ListenerConfig, OutboundTcpChainConfig } from '../resource/listener-config.js';
import type { RouteConfigurationConfig } from '../resource/route-config.js';
import { RouteTable } from '../route/route-table.js';
import type { ClusterManager } from '../upstream/cluster-manager.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { Subscription, XdsClient } from '../xds/xds-client.js';
import { DynamicClusters } from './dynamic-clusters.js';
import { ClusterSet } from './cluster-set.js';
import type { OutboundListenerSnapshot } from './outbound-listener.js';
import type { OutboundTcpSnapshot } from './outbound-tcp.js';

export interface ListenerServices {
  xds: XdsClient;
  clusters: Pick<ClusterManager, 'acquire'>;
  types: { listener: ResourceType<ListenerConfig>; routeConfiguration: ResourceType<RouteConfigurationConfig> };
  filterContext: FilterContext;
  clock: Clock;
  /** Filters that the application asks for in code, before those of the configuration. */
  ownFilters?(): readonly HttpFilterConfig[];
  /** Uniform in [0, 1). */
  random(): number;
}

/** Chains of bytes with all their clusters held. */
interface TcpBuild {
  readonly chains: readonly OutboundTcpChainConfig[];
  readonly clusters: ClusterSet;
}

/** A configuration with all its clusters held. */
interface Build {
  readonly http: HttpConnectionManagerConfig;
  readonly routes: RouteTable;
  readonly clusters: ClusterSet;
}

export class OutboundListenerEntry implements ListenerState {
  readonly name: string;
  lastUsed = 0;
  snapshot: OutboundListenerSnapshot | undefined;
  state: ListenerState['state'] = 'pending';
  /** Why there is no snapshot, or what is wrong with the newest update while an older snapshot serves. */
  error: MeshError | undefined;
  readonly #options: ListenerServices;
  readonly #waiting = new Set<() => void>();
  readonly #listener: Subscription;
  /** Where the name stands for bytes; then there is no `snapshot`. */
  tcp: OutboundTcpSnapshot | undefined;
  #tcpCurrent: TcpBuild | undefined;
  #tcpCandidate: TcpBuild | undefined;
  #http: HttpConnectionManagerConfig | undefined;
  #routeName: string | undefined;
  #routes: Subscription | undefined;
  #routeConfig: RouteConfigurationConfig | undefined;
  #current: Build | undefined;
  #candidate: Build | undefined;
  #filters: FilterChain | undefined;
  /** Of all its versions: what requests name does not change with them. */
  readonly #dynamic: DynamicClusters;
  #closed = false;

  constructor(name: string, options: ListenerServices) {
    this.name = name;
    this.#options = options;
    this.#dynamic = new DynamicClusters(options.clusters, options.clock);
    this.#listener = options.xds.watch(options.types.listener, name, {
      onResource: (config) => this.#onListener(config),
      onAbsent: (reason) => this.#withdraw('absent', reason),
      onError: (error) => this.#fail(error),
    });
  }

  /** The connection manager that was decoded last. */
  get http(): HttpConnectionManagerConfig | undefined {
    return this.#http;
  }

  wait(signal?: AbortSignal): Promise<void> {
    if (this.state !== 'pending') return Promise.resolve();
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const done = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.delete(done);
        reject(signal?.reason as Error);
      };
      this.#waiting.add(done);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Requests that have the snapshot keep it. */
  close(): void {
    this.#closed = true;
    this.#listener.close();
    this.#dynamic.close();
    this.#withdraw('absent', new MeshError('WEFT_CLOSED', `${this.name} is not followed any more`));
  }

  #onListener({ api, tcp }: ListenerConfig): void {
    if (tcp) return this.#buildTcp(tcp);
    if (!api) return;
    this.#http = api;
    if (api.route.kind === 'inline') {
      this.#unfollowRoutes();
      this.#routeConfig = api.route.config;
      this.#build();
    } else if (api.route.name === this.#routeName) this.#build();
    else this.#followRoutes(api.route.name);
  }

  #followRoutes(name: string): void {
    const before = this.#routes;
    this.#routeName = name;
    // Of another name: the snapshot in force serves until the new one is there.
    this.#routeConfig = undefined;
    const mine = (run: () => void) => {
      if (this.#routeName === name && !this.#closed) run();
    };
    this.#routes = this.#options.xds.watch(this.#options.types.routeConfiguration, name, {
      onResource: (config) => mine(() => {
        this.#routeConfig = config;
        this.#build();
      }),
      onAbsent: (reason) => mine(() => this.#onRoutesAbsent(reason)),
      onError: (error) => mine(() => this.#fail(error)),
    });
    before?.close();
  }

  #unfollowRoutes(): void {
    this.#routes?.close();
    this.#routes = undefined;
    this.#routeName = undefined;
  }

  #onRoutesAbsent(reason: Error): void {
    this.#routeConfig = undefined;
    this.#drop();
    this.#become('error', reason);
  }

  #buildTcp(chains: readonly OutboundTcpChainConfig[]): void {
    this.#unfollowRoutes();
    this.#http = this.#routeConfig = undefined;
    const names = new Set(chains.flatMap(({ proxy }) => proxy.clusters.map(({ name }) => name)));
    const held = new ClusterSet(this.#options.clusters, names, () => this.#onTcpClusters(build));
    const build: TcpBuild = { chains, clusters: held };
    this.#tcpCandidate?.clusters.release();
    this.#tcpCandidate = build;
    this.#onTcpClusters(build);
  }

  #onTcpClusters(build: TcpBuild): void {
    if (build !== this.#tcpCandidate && build !== this.#tcpCurrent) return;
    if (build === this.#tcpCandidate) {
      if (!build.clusters.settled) return;
      const before = this.#tcpCurrent;
      this.#tcpCurrent = build;
      this.#tcpCandidate = undefined;
      this.#dropHttp();
      before?.clusters.release();
    }
    this.tcp = Object.freeze({ name: this.name, chains: build.chains, clusters: build.clusters.present(), missing: build.clusters.missing() });
    this.#become('ready', undefined);
  }

  /** Starts a candidate; it replaces the snapshot when every cluster it names is ready or known not to be. */
  #build(): void {
    const http = this.#http;
    const routeConfig = this.#routeConfig;
    if (!http || !routeConfig || this.#closed) return;
    const foreign = foreignOverride(http.httpFilters, routeConfig);
    if (foreign !== undefined) return this.#fail(new MeshError('WEFT_RESOURCE_INVALID', `Listener ${this.name} with RouteConfiguration ${routeConfig.name}: ${foreign}`));
    const { clusters, random } = this.#options;
    const routes = new RouteTable(routeConfig, { random });
    const held = new ClusterSet(clusters, new Set([...routes.clusterNames, ...clustersOf(http.httpFilters)]), () => this.#onClusters(build));
    const build: Build = { http, routes, clusters: held };
    const superseded = this.#candidate;
    this.#candidate = build;
    superseded?.clusters.release();
    this.#onClusters(build);
  }

  #onClusters(build: Build): void {
    if (build === this.#candidate) {
      if (!build.clusters.settled) return;
      const before = this.#current;
      this.#current = build;
      this.#candidate = undefined;
      const filters = new FilterChain([...this.#ownFilters(build.http), ...build.http.httpFilters], this.#options.filterContext, this.#filters);
      this.#filters?.close();
      this.#filters = filters;
      this.#publish(build);
      this.#dropTcp();
      // Last: clusters that both name are never let go in between.
      before?.clusters.release();
    } else if (build === this.#current) this.#publish(build);
  }

  /** What the configuration names itself, it has the say in. */
  #ownFilters({ httpFilters }: HttpConnectionManagerConfig): readonly HttpFilterConfig[] {
    return this.#options.ownFilters?.().filter(({ name }) => httpFilters.every((filter) => filter.name !== name)) ?? [];
  }

  #publish({ http, routes, clusters }: Build): void {
    const found: ReadonlyMap<string, UpstreamCluster> = clusters.present();
    const last = http.httpFilters.at(-1);
    // The engine is the router: it has no stream filter that could keep its configuration.
    const router = last?.factory.name === 'envoy.filters.http.router' ? { router: last.config as RouterConfig } : {};
    this.snapshot = Object.freeze({ name: this.name, routes, filters: this.#filters as FilterChain, clusters: found, missing: clusters.missing(), dynamic: this.#dynamic, ...router, maxStreamDurationMs: http.maxStreamDurationMs ?? 0, streamIdleTimeoutMs: http.streamIdleTimeoutMs ?? 0, upgrades: http.upgrades, authority: http.authority, earlyMutations: http.earlyMutations, paths: http.normalizePath || http.mergeSlashes || http.escapedSlashes !== 'keep' ? http : undefined });
    this.#become('ready', undefined);
  }

  /** Nothing better is known. What cannot be reached may come; what was refused is an answer. */
  #fail(reason: Error): void {
    const error = asMeshError(reason);
    if (this.snapshot || this.tcp || error.code === 'WEFT_NO_CONFIG') this.error = error;
    else this.#become('error', error);
  }

  #withdraw(state: 'absent', reason: Error): void {
    this.#unfollowRoutes();
    this.#http = undefined;
    this.#routeConfig = undefined;
    this.#drop();
    this.#become(state, reason);
  }

  #drop(): void {
    this.#dropHttp();
    this.#dropTcp();
  }

  #dropTcp(): void {
    this.tcp = undefined;
    this.#tcpCandidate?.clusters.release();
    this.#tcpCurrent?.clusters.release();
    this.#tcpCandidate = this.#tcpCurrent = undefined;
  }

  #dropHttp(): void {
    this.snapshot = undefined;
    this.#candidate?.clusters.release();
    this.#current?.clusters.release();
    this.#candidate = this.#current = undefined;
    this.#filters?.close();
    this.#filters = undefined;
  }

  #become(state: ListenerState['state'], error: Error | undefined): void {
    this.state = state;
    this.error = error && asMeshError(error);
    for (const done of this.#waiting) done();
    this.#waiting.clear();
  }
}

function asMeshError(error: Error): MeshError {
  return error instanceof MeshError ? error : new MeshError('WEFT_NO_CONFIG', error.message, { cause: error });
}
