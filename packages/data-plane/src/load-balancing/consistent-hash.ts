// What ring hash and maglev share.
import type { Host } from '../upstream/host.js';
import { boundedLoad } from './bounded-load.js';
import { weightOf } from './host-weights.js';
import type { HashTable, WeightedHost } from './hash-table.js';
import type { LoadBalancer, LoadBalancerContext, PickContext, Picker } from './load-balancer.js';

export interface ConsistentHashConfig {
  useHostname: boolean;
  /** Percent of the mean load that one host may have, 100 or more; unbounded where it is left out. */
  hashBalanceFactor?: number;
}

/** Throws where the factor is invalid. */
export function consistentHashConfig({ useHostname = false, hashBalanceFactor }: Partial<ConsistentHashConfig>): ConsistentHashConfig {
  if (hashBalanceFactor !== undefined && hashBalanceFactor < 100) throw new Error(`hash_balance_factor must be 100 or more, not ${hashBalanceFactor}`);
  return { useHostname, ...(hashBalanceFactor !== undefined && { hashBalanceFactor }) };
}

/**
 * Builds a table only for its first request, and again only where hosts or weights changed: health updates come often, a
 * large table takes milliseconds.
 */
export function hashLoadBalancer({ useHostname, hashBalanceFactor }: ConsistentHashConfig, context: LoadBalancerContext, build: (hosts: readonly WeightedHost[]) => HashTable): LoadBalancer {
  let last: { signature: string; hosts: readonly Host[]; table: HashTable | undefined } | undefined;
  return {
    update(hosts, share): Picker {
      const total = share ? 1 : hosts.reduce((sum, host) => sum + weightOf(host), 0);
      const weighted = hosts.map((host): WeightedHost => ({ host, key: hashKey(host, useHostname), weight: (share ?? weightOf)(host) / total }));
      const signature = JSON.stringify(weighted.map(({ key, weight }) => [key, weight]));
      const state = last?.signature === signature && last.hosts.every((host, i) => host === hosts[i]) ? last : { signature, hosts, table: undefined };
      last = state;
      if (hosts.length === 0) return { pick: () => undefined };
      const make = () => (hashBalanceFactor === undefined ? build(weighted) : boundedLoad(build(weighted), weighted, hashBalanceFactor, () => context.activeRequests()));
      return { pick: (pickContext) => (state.table ??= make())(hashOf(pickContext, context), pickContext.reselection ?? 0) };
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

const scratch = new BigUint64Array(1);
const halves = new Uint32Array(scratch.buffer);
const [highIndex, lowIndex] = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? [1, 0] : [0, 1];

/** The upper and the lower 32 bits, without making another BigInt. */
export function high(hash: bigint): number {
  scratch[0] = hash;
  return halves[highIndex] as number;
}

export function low(hash: bigint): number {
  scratch[0] = hash;
  return halves[lowIndex] as number;
}
