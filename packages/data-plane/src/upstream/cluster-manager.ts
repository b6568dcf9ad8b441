// Clusters by name: subscribed to while somebody holds them, shared by all who do.
import type { Clock } from '@weft/spiffe';
import { MeshError } from '../errors.js';
import type { LoadBalancerFactory } from '../load-balancing/load-balancer.js';
import type { ClusterConfig, EndpointsConfig } from '../resource/cluster-config.js';
import type { EndpointPolicy } from '../resource/endpoint-policy.js';
import type { Logger } from '../telemetry/logger.js';
import type { Stats } from '../telemetry/stats.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { Subscription, XdsClient } from '../xds/xds-client.js';
import { AggregateCluster } from './aggregate-cluster.js';
import { AggregateMembers } from './aggregate-members.js';
import { Cluster } from './cluster.js';
import { builtinClusterTypes } from './cluster-type/builtin.js';
import type { ClusterType, ClusterTypeContext } from './cluster-type/cluster-type.js';
import type { DnsCaches } from './dns/dns-cache.js';
import { systemResolver, type Lookup } from './dns/resolver.js';
import type { HealthProber } from './health/health-probe.js';
import type { BalancingContext } from './cluster-balancing.js';
import type { ClusterHandle, ClusterState } from './cluster-handle.js';
import { FollowedLocalCluster, type LocalClusterOptions } from './local-cluster.js';

export type { ClusterHandle, ClusterState };

export interface ClusterManagerOptions {
  xds: XdsClient;
  clusterType: ResourceType<ClusterConfig>;
  endpointType: ResourceType<EndpointsConfig>;
  clock: Clock;
  random(): number;
  logger: Logger;
  /** How hosts are asked whether they are well. */
  prober?: HealthProber;
  /** Where clusters count. */
  stats?: Stats;
  /** The same that `clusterType` parses with. */
  loadBalancers: readonly LoadBalancerFactory[];
  /** The cluster that this process is a host of, and where it is: for zone-aware routing. */
  ownCluster?: LocalClusterOptions | undefined;
  loadReports?: BalancingContext['loadReports'];
  /** Default: the system's resolver. */
  lookup?: Lookup;
  /** Which addresses names may lead to. Default: all. */
  policy?: EndpointPolicy;
  /** For dynamic forward proxies, shared with their filters. */
  dnsCaches?: DnsCaches;
}

export class ClusterManager {
  readonly #options: ClusterManagerOptions;
  readonly #entries = new Map<string, ClusterEntry>();
  readonly #localCluster: FollowedLocalCluster | undefined;

  constructor(options: ClusterManagerOptions) {
    this.#options = options;
    const { ownCluster: own } = options;
    this.#localCluster = own && new FollowedLocalCluster(own, () => this.acquire(own.name));
  }

  acquire(name: string): ClusterHandle {
    let entry = this.#entries.get(name);
    if (!entry) {
      entry = new ClusterEntry(name, this.#options, this);
      this.#entries.set(name, entry);
      entry.start();
    }
    return handle(entry, () => {
      this.#entries.delete(name);
    });
  }

  /** Where its clusters balance by zone; the local cluster itself does not, for it is only looked at. */
  localClusterFor(name: string): FollowedLocalCluster | undefined {
    return name === this.#options.ownCluster?.name ? undefined : this.#localCluster;
  }

  /** The way from one cluster through aggregates back to `target`, where the members listed lead there. */
  loopTo(target: string, members: readonly string[], seen = new Set<string>()): readonly string[] | undefined {
    for (const name of members) {
      if (name === target) return [name];
      if (seen.has(name)) continue;
      seen.add(name);
      const rest = this.loopTo(target, this.#entries.get(name)?.memberNames ?? [], seen);
      if (rest) return [name, ...rest];
    }
    return undefined;
  }

  /** Clusters that are held now, for status and CSDS. */
  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** Ends every subscription and closes idle connections. */
  close(): void {
    for (const entry of this.#entries.values()) entry.close();
    this.#entries.clear();
  }
}

function handle(entry: ClusterEntry, onLast: () => void): ClusterHandle {
  const own = new Set<() => void>();
  let released = false;
  entry.holders++;
  return {
    name: entry.name,
    get cluster() {
      return entry.visible;
    },
    get state() {
      return entry.state;
    },
    get error() {
      return entry.error;
    },
    subscribe(fn) {
      const listener = () => fn();
      own.add(listener);
      entry.listeners.add(listener);
      return () => {
        own.delete(listener);
        entry.listeners.delete(listener);
      };
    },
    release() {
      if (released) return;
      released = true;
      for (const listener of own) entry.listeners.delete(listener);
      if (--entry.holders > 0) return;
      onLast();
      entry.close();
    },
  };
}

class ClusterEntry {
  readonly name: string;
  readonly listeners = new Set<() => void>();
  holders = 0;
  state: ClusterState = 'pending';
  error: Error | undefined;
  cluster: Cluster | AggregateCluster | undefined;
  readonly #options: ClusterManagerOptions;
  readonly #manager: ClusterManager;
  readonly #typeContext: ClusterTypeContext;
  #subscription: Subscription | undefined;
  #source: { type: string; close(): void } | undefined;
  #members: AggregateMembers | undefined;
  #announced: readonly [ClusterState, Cluster | AggregateCluster | undefined] = ['pending', undefined];

  constructor(name: string, options: ClusterManagerOptions, manager: ClusterManager) {
    this.name = name;
    this.#options = options;
    this.#manager = manager;
    const { xds, endpointType, clock, logger, random, lookup = systemResolver, policy = () => undefined, dnsCaches } = options;
    this.#typeContext = { xds, endpointType, clock, logger, random, lookup, policy, dnsCaches };
  }

  /** What holders see: a cluster without endpoints yet cannot serve anybody. */
  get visible(): Cluster | AggregateCluster | undefined {
    return this.state === 'ready' ? this.cluster : undefined;
  }

  /** Of an aggregate cluster. */
  get memberNames(): readonly string[] {
    return this.#members?.names ?? [];
  }

  start(): void {
    this.#subscription = this.#options.xds.watch(this.#options.clusterType, this.name, {
      onResource: (config) => this.#onConfig(config),
      onAbsent: (reason) => this.#onAbsent(reason),
      onError: (error) => this.#onError(error),
    });
  }

  close(): void {
    this.#subscription?.close();
    this.#retire();
    this.listeners.clear();
  }

  #onConfig(config: ClusterConfig): void {
    try {
      if (config.type.kind === 'aggregate') this.#onAggregate(config, config.type.clusters);
      else this.#onPlain(config);
    } catch (error) {
      this.#onError(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #onPlain(config: ClusterConfig): void {
    const type = builtinClusterTypes.find(({ kinds }) => kinds.includes(config.type.kind));
    if (!type) throw new Error(`cluster ${this.name}: type ${config.type.kind} is not supported`);
    if (this.cluster instanceof AggregateCluster) this.#retire();
    const known = this.cluster as Cluster | undefined;
    known?.update(config);
    const cluster: Cluster = known ?? new Cluster(config, { ...this.#options, localCluster: this.#manager.localClusterFor(this.name) }, () => {
      if (this.cluster === cluster) this.#become('ready');
    });
    this.cluster = cluster;
    this.error = undefined;
    this.#follow(config, type, cluster);
    this.#become(cluster.ready ? 'ready' : 'pending');
  }

  #onAggregate(config: ClusterConfig, names: readonly string[]): void {
    const loop = this.#manager.loopTo(this.name, names);
    if (loop) throw new Error(`aggregate cluster ${this.name} contains itself: ${[this.name, ...loop].join(' → ')}`);
    if (this.cluster instanceof Cluster) {
      this.#retire();
      this.state = 'pending';
    }
    const aggregate = (this.cluster as AggregateCluster | undefined) ?? new AggregateCluster(config, this.#options);
    aggregate.update(config);
    this.cluster = aggregate;
    this.error = undefined;
    const before = this.#members;
    if (before?.names.join('\n') === names.join('\n')) return this.#become(this.state);
    this.#members = new AggregateMembers(this.#manager, names, (members, settled) => {
      aggregate.setMembers(members);
      // What is above it, another aggregate, lists its members too.
      if (this.state === 'ready') for (const listener of this.listeners) listener();
      this.#become(settled || this.state === 'ready' ? 'ready' : 'pending');
    });
    before?.release();
  }

  /** (Re)starts the source of endpoints where it changed. The endpoints so far stay until the new source has some. */
  #follow(config: ClusterConfig, type: ClusterType, cluster: Cluster): void {
    const key = JSON.stringify(config.type);
    if (this.#source?.type === key) return;
    this.#source?.close();
    const current = { type: key, close: () => undefined as void };
    this.#source = current;
    const sink = {
      onEndpoints: (endpoints: EndpointsConfig) => {
        if (this.#source !== current) return;
        cluster.setEndpoints(endpoints);
        this.error = undefined;
        this.#become(cluster.ready ? 'ready' : 'pending');
      },
      onError: (error: Error) => {
        if (this.#source === current) this.#onError(error);
      },
    };
    const source = type.start(config, sink, this.#typeContext);
    current.close = () => source.close();
  }

  #onAbsent(reason: Error): void {
    this.error = reason;
    this.#retire();
    this.#become('absent');
  }

  #onError(error: Error): void {
    this.error = error;
    // With a good version in force the error is only to be shown. And what the control plane could not be asked for may still come: a
    // snapshot that serves must not be given up for one that lacks it.
    const unreachable = error instanceof MeshError && error.code === 'WEFT_NO_CONFIG';
    if (!this.#serves && !(unreachable && this.state === 'pending')) this.#become('error');
  }

  get #serves(): boolean {
    return this.cluster instanceof Cluster ? this.cluster.ready : this.cluster !== undefined && this.state === 'ready';
  }

  #retire(): void {
    this.#source?.close();
    this.#source = undefined;
    this.#members?.release();
    this.#members = undefined;
    if (this.cluster instanceof Cluster) this.cluster.close();
    this.cluster = undefined;
  }

  #become(state: ClusterState): void {
    this.state = state;
    const [before, cluster] = this.#announced;
    if (before === state && cluster === this.visible) return;
    this.#announced = [state, this.visible];
    for (const listener of this.listeners) listener();
  }
}
