// The picker of a whole cluster: chooses a priority by the load it can carry, then (where asked for) a locality, then lets
// the policy choose among hosts. Immutable; made anew whenever hosts or their health change.
import type { ZoneAwareConfig } from '../resource/balancing-config.js';
import type { Host } from '../upstream/host.js';
import type { LoadBalancer, PickContext, Picker } from './load-balancer.js';
import { localityPicker, localityShares, type LocalityHosts } from './locality-picker.js';
import type { PriorityAvailability } from './panic.js';
import { loadAvoiding } from './previous-priorities.js';
import { choosePriority, percent, priorityLoad, type PriorityLoad } from './priority-load.js';
import { zoneAwarePicker, type LocalCluster } from './zone-aware-picker.js';

/** Of a whole cluster. */
export interface ClusterPicker extends Picker {
  /** For aggregate clusters, which chose the priority by themselves. */
  pickAt(priority: number, degraded: boolean, context: PickContext): Host | undefined;
}

export interface PriorityHosts {
  readonly hosts: readonly Host[];
  readonly localities: readonly LocalityHosts[];
}

export interface PriorityPickerOptions {
  readonly overprovisioning: number;
  readonly panicThreshold: number;
  readonly localityWeighted: boolean;
  readonly hashBased: boolean;
  /** Where the cluster asks for it; without a local cluster it changes nothing, except that panic may fail. */
  readonly zoneAware?: ZoneAwareConfig | undefined;
  readonly localCluster?: LocalCluster | undefined;
  random(): number;
  /** The policy's state for one set of hosts, the same object for the same key across updates. */
  balancer(key: string): LoadBalancer;
}

const isHealthy = (host: Host) => host.available;
const isDegraded = (host: Host) => host.degraded;
const isCounted = (host: Host) => !host.checkPending;

export class PriorityPicker implements ClusterPicker {
  readonly load: PriorityLoad;
  readonly #healthy: readonly (Picker | undefined)[];
  readonly #degraded: readonly (Picker | undefined)[];
  readonly #availability: readonly PriorityAvailability[];
  readonly #overprovisioning: number;
  readonly #random: () => number;
  readonly #hashBased: boolean;

  constructor(priorities: readonly PriorityHosts[], options: PriorityPickerOptions) {
    this.#random = options.random;
    this.#hashBased = options.hashBased;
    this.#availability = priorities.map(availabilityOf);
    this.#overprovisioning = options.overprovisioning;
    this.load = priorityLoad(this.#availability, options.overprovisioning, options.panicThreshold);
    const { panic } = this.load;
    this.#healthy = priorities.map((priority, i) => (panic[i] === true ? panicPicker(i, priority, options) : poolPicker(`${i}/healthy`, priority, isHealthy, options)));
    // Envoy's policies by hash have one table for a priority, of its healthy hosts.
    this.#degraded = options.hashBased
      ? this.#healthy
      : priorities.map((priority, i) => (panic[i] === true ? this.#healthy[i] : poolPicker(`${i}/degraded`, priority, isDegraded, options)));
  }

  pick(context: PickContext): Host | undefined {
    return this.#choose(context)?.pick(context);
  }

  /** In panic both are the same. */
  pickAt(priority: number, degraded: boolean, context: PickContext): Host | undefined {
    return (degraded ? this.#degraded : this.#healthy)[priority]?.pick(context);
  }

  #choose(context: PickContext): Picker | undefined {
    if (context.previousPriorities) return this.#chooseAvoiding(context, context.previousPriorities);
    const { healthy } = this.load;
    // The usual case needs no random number.
    if (healthy[0] === 100) return this.#healthy[0];
    return this.#at(this.load, context);
  }

  #chooseAvoiding(context: PickContext, previous: NonNullable<PickContext['previousPriorities']>): Picker | undefined {
    const health = (of: (availability: PriorityAvailability) => number) => this.#availability.map((availability) => percent(this.#overprovisioning, of(availability), availability.total));
    return this.#at(loadAvoiding(previous, health(({ healthy }) => healthy), health(({ degraded }) => degraded)) ?? this.load, context);
  }

  #at(load: Pick<PriorityLoad, 'healthy' | 'degraded'>, { hash }: PickContext): Picker | undefined {
    // A key must stay on its priority where the policy goes by keys.
    const point = hash === undefined || !this.#hashBased ? Math.floor(this.#random() * 100) + 1 : Number(hash % 100n) + 1;
    const chosen = choosePriority(load, point);
    return chosen && (chosen.degraded ? this.#degraded : this.#healthy)[chosen.priority];
  }
}

function panicPicker(index: number, priority: PriorityHosts, options: PriorityPickerOptions): Picker | undefined {
  const key = `${index}/panic`;
  if (options.hashBased) return poolPicker(key, priority, () => true, options);
  return options.zoneAware?.failTrafficOnPanic === true ? undefined : options.balancer(key).update(priority.hosts);
}

function poolPicker(key: string, { hosts, localities }: PriorityHosts, usable: (host: Host) => boolean, options: PriorityPickerOptions): Picker | undefined {
  const { localityWeighted, hashBased, zoneAware, localCluster, random } = options;
  if (localityWeighted && hashBased) {
    const shares = localityShares(localities, usable);
    return shares.size === 0 ? undefined : options.balancer(key).update([...shares.keys()], (host) => shares.get(host) as number);
  }
  const pickerOf = (locality: LocalityHosts, chosen: readonly Host[]) => options.balancer(`${key}/${locality.key}`).update(chosen);
  if (localityWeighted) return localityPicker(localities, usable, options.overprovisioning, pickerOf, random);
  const chosen = hosts.filter(usable);
  if (chosen.length === 0) return undefined;
  const all = options.balancer(key).update(chosen);
  // Zones of lower priorities are a choice of the control plane's already (Envoy).
  if (!zoneAware || !localCluster || hashBased || !key.startsWith('0/')) return all;
  return zoneAwarePicker(localities, all, { config: zoneAware, local: localCluster, panicThreshold: options.panicThreshold, usable, random, pickerOf });
}

export function availabilityOf({ hosts }: PriorityHosts): PriorityAvailability {
  return { healthy: count(hosts, isHealthy), degraded: count(hosts, isDegraded), total: count(hosts, isCounted) };
}

function count(hosts: readonly Host[], test: (host: Host) => boolean): number {
  let number = 0;
  for (const host of hosts) if (test(host)) number++;
  return number;
}
