// Clusters by name: subscribed to while somebody holds them, shared by all who do.
import { lookup } from 'node:dns/promises';
import type { Clock } from '@weft/spiffe';
import { MeshError } from '../errors.js';
import type { LoadBalancerFactory } from '../load-balancing/load-balancer.js';
import type { ClusterConfig, EndpointsConfig } from '../resource/cluster-config.js';
import type { Logger } from '../telemetry/logger.js';
import type { ResourceType } from '../xds/resource-type.js';
import type { Subscription, XdsClient } from '../xds/xds-client.js';
import { Cluster } from './cluster.js';
import { builtinClusterTypes } from './cluster-type/builtin.js';
import type { ClusterType, ClusterTypeContext } from './cluster-type/cluster-type.js';
import type { UpstreamCluster } from './upstream-cluster.js';

export interface ClusterManagerOptions {
  xds: XdsClient;
  clusterType: ResourceType<ClusterConfig>;
  endpointType: ResourceType<EndpointsConfig>;
  clock: Clock;
  random(): number;
  logger: Logger;
  /** The same that `clusterType` parses with. */
  loadBalancers: readonly LoadBalancerFactory[];
  /** Default: the system's resolver. */
  resolve?: (hostname: string) => Promise<readonly string[]>;
}

/** `ready`: endpoints are known (maybe none). `absent`: definitely not there. `error`: no good version is known. */
export type ClusterState = 'pending' | 'ready' | 'absent' | 'error';

export interface ClusterHandle {
  readonly name: string;
  readonly cluster: UpstreamCluster | undefined;
  readonly state: ClusterState;
  /** Of the state, or of an update that was refused while the last good one stays in force. */
  readonly error: Error | undefined;
  /** Called when `state` or `cluster` changed, not for endpoints. Returns the way to stop. */
  subscribe(fn: () => void): () => void;
  /** Idempotent. With the last handle the subscriptions end; requests that have the cluster finish. */
  release(): void;
}

export class ClusterManager {
  readonly #options: ClusterManagerOptions;
  readonly #entries = new Map<string, ClusterEntry>();

  constructor(options: ClusterManagerOptions) {
    this.#options = options;
  }

  acquire(name: string): ClusterHandle {
    let entry = this.#entries.get(name);
    if (!entry) {
      entry = new ClusterEntry(name, this.#options);
      this.#entries.set(name, entry);
      entry.start();
    }
    return handle(entry, () => {
      this.#entries.delete(name);
    });
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
  cluster: Cluster | undefined;
  readonly #options: ClusterManagerOptions;
  readonly #typeContext: ClusterTypeContext;
  #subscription: Subscription | undefined;
  #source: { type: string; close(): void } | undefined;
  #announced: readonly [ClusterState, Cluster | undefined] = ['pending', undefined];

  constructor(name: string, options: ClusterManagerOptions) {
    this.name = name;
    this.#options = options;
    const { xds, endpointType, clock, logger } = options;
    this.#typeContext = { xds, endpointType, clock, logger, resolve: options.resolve ?? systemResolve };
  }

  /** What holders see: a cluster without endpoints yet cannot serve anybody. */
  get visible(): Cluster | undefined {
    return this.state === 'ready' ? this.cluster : undefined;
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
      const type = builtinClusterTypes.find(({ kinds }) => kinds.includes(config.type.kind));
      if (!type) throw new Error(`cluster ${this.name}: type ${config.type.kind} is not supported`);
      if (this.cluster) this.cluster.update(config);
      else this.cluster = new Cluster(config, this.#options);
      this.error = undefined;
      this.#follow(config, type, this.cluster);
    } catch (error) {
      this.#onError(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#become(this.cluster.ready ? 'ready' : 'pending');
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
        this.#become('ready');
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
    if (this.cluster?.ready !== true && !(unreachable && this.state === 'pending')) this.#become('error');
  }

  #retire(): void {
    this.#source?.close();
    this.#source = undefined;
    this.cluster?.close();
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

async function systemResolve(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
}
