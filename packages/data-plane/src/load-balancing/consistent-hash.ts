// What ring hash and maglev share.
import type { Host } from '../upstream/host.js';
import { weightOf } from './host-weights.js';
import type { LoadBalancer, LoadBalancerContext, PickContext, Picker } from './load-balancer.js';

export interface WeightedHost {
  readonly host: Host;
  /** What the host is hashed by. */
  readonly key: string;
  /** All of them sum to 1. */
  readonly weight: number;
}

/** Chooses by a number of 64 bits; `reselection` above 0 asks for another host than the ones before. */
export type HashTable = (hash: bigint, reselection: number) => Host;

/**
 * Builds a table only for its first request, and again only where hosts or weights changed: health updates come often, a
 * large table takes milliseconds.
 */
export function hashLoadBalancer(useHostname: boolean, context: LoadBalancerContext, build: (hosts: readonly WeightedHost[]) => HashTable): LoadBalancer {
  let last: { signature: string; hosts: readonly Host[]; table: HashTable | undefined } | undefined;
  return {
    update(hosts, weight = weightOf): Picker {
      const total = hosts.reduce((sum, host) => sum + weight(host), 0);
      const weighted = hosts.map((host): WeightedHost => ({ host, key: hashKey(host, useHostname), weight: weight(host) / total }));
      const signature = JSON.stringify(weighted.map(({ key, weight: share }) => [key, share]));
      const state = last?.signature === signature && last.hosts.every((host, i) => host === hosts[i]) ? last : { signature, hosts, table: undefined };
      last = state;
      if (hosts.length === 0) return { pick: () => undefined };
      return { pick: (pickContext) => (state.table ??= build(weighted))(hashOf(pickContext, context), pickContext.reselection ?? 0) };
    },
  };
}

/** `hash_key` in the endpoint's `envoy.lb` metadata, else its name or its address. */
function hashKey({ config, key }: Host, useHostname: boolean): string {
  const own = config.metadata['envoy.lb']?.['hash_key'];
  return typeof own === 'string' && own !== '' ? own : useHostname && config.hostname !== '' ? config.hostname : key;
}

/** Without a hash any host will do. */
function hashOf({ hash }: PickContext, { random }: LoadBalancerContext): bigint {
  return hash ?? (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32));
}

