// A cluster made of clusters (envoy.clusters.aggregate): the priorities of its members one after the other. It chooses the priority;
// host, connections, circuit breakers and outlier detection are the member's. Only concurrent retries are counted here, as in Envoy.
import type { PriorityAvailability } from '../load-balancing/panic.js';
import { choosePriority, priorityLoad, type PriorityLoad } from '../load-balancing/priority-load.js';
import type { ClusterConfig } from '../resource/cluster-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { Stats } from '../telemetry/stats.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { ClusterStats } from './cluster-stats.js';
import type { Cluster } from './cluster.js';
import type { Host } from './host.js';
import type { AttemptOutcome, ChooseContext, RoutePriority, UpstreamCluster } from './upstream-cluster.js';
import { noHealthyUpstream } from './upstream-replies.js';

/** The priorities of all members that have hosts, as one list. */
interface Linearized {
  /** By member, as it was when the list was made. */
  readonly from: readonly (readonly PriorityAvailability[])[];
  readonly load: PriorityLoad;
  readonly places: readonly { readonly member: Cluster; readonly priority: number }[];
}

export class AggregateCluster implements UpstreamCluster {
  readonly name: string;
  readonly #random: () => number;
  readonly #breaker: CircuitBreaker;
  #config: ClusterConfig;
  #members: readonly Cluster[] = [];
  #linearized: Linearized | undefined;

  constructor(config: ClusterConfig, { random, stats }: { random(): number; stats?: Stats }) {
    this.name = config.name;
    this.#config = config;
    this.#random = random;
    this.#breaker = new CircuitBreaker(config, new ClusterStats(stats, config.name));
  }

  get config(): ClusterConfig {
    return this.#config;
  }

  /** Clusters that hosts come from, the preferred first. */
  get members(): readonly Cluster[] {
    return this.#members;
  }

  update(config: ClusterConfig): void {
    this.#config = config;
    this.#breaker.update(config);
    this.#linearized = undefined;
  }

  setMembers(members: readonly Cluster[]): void {
    this.#members = members;
    this.#linearized = undefined;
  }

  choose(context: ChooseContext): Host | LocalReply {
    const { load, places } = this.#current();
    const chosen = choosePriority(load, load.healthy[0] === 100 ? 1 : Math.floor(this.#random() * 100) + 1);
    if (!chosen) return noHealthyUpstream(this.#members.length === 0 ? `none of the clusters of ${this.name} is there` : `none of the clusters of ${this.name} has an endpoint that can be chosen`);
    const { member, priority } = places[chosen.priority]!;
    return member.chooseAt(priority, chosen.degraded, context);
  }

  begin(host: Host, priority: RoutePriority): void {
    host.cluster.begin(host, priority);
  }

  end(host: Host, priority: RoutePriority, outcome: AttemptOutcome): void {
    host.cluster.end(host, priority, outcome);
  }

  timedOut(host: Host): void {
    host.cluster.timedOut(host);
  }

  beginConnection(host: Host, priority: RoutePriority): void {
    host.cluster.beginConnection(host, priority);
  }

  endConnection(host: Host, priority: RoutePriority): void {
    host.cluster.endConnection(host, priority);
  }

  report(host: Host, outcome: AttemptOutcome): void {
    host.cluster.report(host, outcome);
  }

  beginRetry(priority: RoutePriority): boolean {
    return this.#breaker.beginRetry(priority);
  }

  endRetry(priority: RoutePriority): void {
    this.#breaker.endRetry(priority);
  }

  /** Made anew only when the health or the hosts of a member changed. */
  #current(): Linearized {
    const known = this.#linearized;
    if (known && this.#members.every((member, i) => member.availability === known.from[i])) return known;
    const from = this.#members.map(({ availability }) => availability);
    const places = this.#members.flatMap((member, i) => from[i]!.flatMap(({ total }, priority) => (total > 0 ? [{ member, priority }] : [])));
    const load = priorityLoad(from.flat().filter(({ total }) => total > 0), this.#config.overprovisioningFactor, this.#config.healthyPanicThreshold);
    return (this.#linearized = { from, load, places });
  }
}
