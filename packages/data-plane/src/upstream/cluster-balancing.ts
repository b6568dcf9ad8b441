// How one cluster balances: its policy with what that has learnt, and the pickers around it.
import type { Clock } from '@weft/spiffe';
import type { LoadBalancer, LoadBalancerContext, LoadBalancerFactory } from '../load-balancing/load-balancer.js';
import { PriorityPicker, type ClusterPicker, type PriorityHosts } from '../load-balancing/priority-picker.js';
import { SubsetPicker } from '../load-balancing/subset-picker.js';
import { zoneAwareConfig, type LocalCluster } from '../load-balancing/zone-aware-picker.js';
import type { ClusterConfig } from '../resource/cluster-config.js';
import type { Host, LoadTracker } from './host.js';

export interface BalancingContext {
  clock: Clock;
  random(): number;
  /** All that `clusterType` parses with. */
  loadBalancers: readonly LoadBalancerFactory[];
  /** Which of its own kind this process is one of; for zone-aware routing. */
  localCluster?: LocalCluster | undefined;
  /** Opens a stream of load reports at a gRPC host. */
  loadReports?: ((host: Host, periodMs: number, onReport: (message: Uint8Array) => void) => { close(): void }) | undefined;
}

export interface BalancedCluster {
  readonly name: string;
  readonly priorities: readonly PriorityHosts[];
  readonly hosts: readonly Host[];
  readonly overprovisioning: number;
  readonly activeRequests: number;
}

/** Envoy routes by zone wherever it knows the local cluster. */
const defaultZoneAware = zoneAwareConfig({ failTrafficOnPanic: false });

export class ClusterBalancing {
  readonly #cluster: BalancedCluster;
  readonly #context: BalancingContext;
  readonly #own: LoadBalancerContext;
  #config: ClusterConfig;
  #factory: LoadBalancerFactory;
  #tracker: LoadTracker | undefined;
  /** By subset, priority, pool and locality. */
  #balancers = new Map<string, LoadBalancer>();
  #picker: ClusterPicker;
  readonly #unfollow: (() => void) | undefined;

  /** Throws where the policy is not known. */
  constructor(cluster: BalancedCluster, config: ClusterConfig, context: BalancingContext) {
    this.#cluster = cluster;
    this.#config = config;
    this.#context = context;
    this.#own = { random: context.random, now: () => context.clock.now(), activeRequests: () => cluster.activeRequests };
    this.#factory = this.#find(config);
    this.#tracker = this.#makeTracker();
    this.#picker = this.#makePicker();
    this.#unfollow = context.localCluster?.subscribe(() => this.refresh());
  }

  get picker(): ClusterPicker {
    return this.#picker;
  }

  get usesHash(): boolean {
    return this.#factory.hashBased === true;
  }

  get tracker(): LoadTracker | undefined {
    return this.#tracker;
  }

  /** Throws, changing nothing, where the policy is not known. Another policy forgets what the one before has learnt. */
  update(config: ClusterConfig, otherPolicy: boolean): void {
    if (otherPolicy) this.#factory = this.#find(config);
    this.#config = config;
    if (!otherPolicy) return;
    this.#balancers = new Map();
    this.#tracker?.close?.();
    this.#tracker = this.#makeTracker();
  }

  /** Hosts, their health or the configuration changed. */
  refresh(): void {
    this.#picker = this.#makePicker();
  }

  close(): void {
    this.#unfollow?.();
    this.#tracker?.close?.();
  }

  #makePicker(): ClusterPicker {
    const { subsets, localityWeighted } = this.#config;
    const { priorities } = this.#cluster;
    const picker = subsets
      ? new SubsetPicker(priorities, subsets, (subset, members) => this.#priorityPicker(members, subset, localityWeighted && subsets.localityWeightAware))
      : this.#priorityPicker(priorities, '', localityWeighted);
    // A pool that is empty for a moment keeps its state; one whose subset, locality or priority is gone is forgotten.
    for (const key of this.#balancers.keys()) {
      const end = key.lastIndexOf('\n');
      if (!isCurrent(key.slice(end + 1), priorities) || (picker instanceof SubsetPicker && !picker.has(key.slice(0, end)))) this.#balancers.delete(key);
    }
    return picker;
  }

  #priorityPicker(priorities: readonly PriorityHosts[], subset: string, localityWeighted: boolean): PriorityPicker {
    const { healthyPanicThreshold, loadBalancing, zoneAware = defaultZoneAware } = this.#config;
    return new PriorityPicker(priorities, {
      overprovisioning: this.#cluster.overprovisioning,
      panicThreshold: healthyPanicThreshold,
      localityWeighted,
      hashBased: this.#factory.hashBased === true,
      zoneAware,
      localCluster: this.#context.localCluster,
      random: this.#context.random,
      balancer: (pool) => {
        const key = `${subset}\n${pool}`;
        let balancer = this.#balancers.get(key);
        if (!balancer) this.#balancers.set(key, (balancer = this.#factory.create(loadBalancing.config, this.#own, this.#tracker)));
        return balancer;
      },
    });
  }

  #makeTracker(): LoadTracker | undefined {
    const { clock, loadReports } = this.#context;
    return this.#factory.createTracker?.(this.#config.loadBalancing.config, {
      ...this.#own,
      setTimeout: (run, ms) => clock.setTimeout(run, ms),
      hosts: () => this.#cluster.hosts,
      loadReports,
      changed: () => this.refresh(),
    });
  }

  #find({ loadBalancing }: ClusterConfig): LoadBalancerFactory {
    const factory = this.#context.loadBalancers.find(({ name }) => name === loadBalancing.policy);
    if (!factory) throw new Error(`cluster ${this.#cluster.name}: load-balancing policy ${loadBalancing.policy} is not known`);
    return factory;
  }
}

function isCurrent(pool: string, priorities: readonly PriorityHosts[]): boolean {
  const [priority, , ...locality] = pool.split('/');
  const hosts = priorities[Number(priority)];
  return hosts !== undefined && (locality.length === 0 || hosts.localities.some(({ key }) => key === locality.join('/')));
}
