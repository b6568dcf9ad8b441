import { fromBinary } from '@weft/xds-api/protobuf';
import { MaglevSchema } from '@weft/xds-api/load-balancing';
import { loadXxh64, xxh64 } from '../../route/xxh64.js';
import { hashLoadBalancer, type HashTable, type WeightedHost } from '../consistent-hash.js';
import type { LoadBalancerFactory } from '../load-balancer.js';
import type { LocalityAwareConfig } from './locality-config.js';

export interface MaglevConfig extends LocalityAwareConfig {
  /** A prime. */
  tableSize: number;
  useHostname: boolean;
}

/** Throws where the size is invalid. */
export function maglevConfig({ tableSize = 65_537, useHostname = false, localityWeighted = false }: { tableSize?: number; useHostname?: boolean; localityWeighted?: boolean }): MaglevConfig {
  if (tableSize > 5_000_011 || !isPrime(tableSize)) throw new Error(`table_size must be a prime up to 5000011, not ${tableSize}`);
  return { tableSize, useHostname, localityWeighted };
}

/** A table in which each host has its share of places; most keep their owner when hosts come and go. */
export const maglev: LoadBalancerFactory<MaglevConfig> = {
  name: 'envoy.load_balancing_policies.maglev',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev',
  messages: [MaglevSchema],
  hashBased: true,
  parse(value) {
    const { tableSize, consistentHashingLbConfig: consistent, localityWeightedLbConfig } = fromBinary(MaglevSchema, value);
    if (consistent?.hashBalanceFactor !== undefined) throw new Error('hash_balance_factor is not supported');
    return maglevConfig({
      ...(tableSize !== undefined && { tableSize: Number(tableSize) }),
      useHostname: consistent?.useHostnameForHashing === true,
      localityWeighted: localityWeightedLbConfig !== undefined,
    });
  },
  create({ tableSize, useHostname }, context) {
    void loadXxh64();
    return hashLoadBalancer(useHostname, context, (hosts) => buildTable(hosts, tableSize));
  },
};

function buildTable(hosts: readonly WeightedHost[], size: number): HashTable {
  const table = new Int32Array(size).fill(-1);
  const heaviest = hosts.reduce((most, { weight }) => Math.max(most, weight), 0);
  const entries = hosts.map(({ key, weight }) => ({
    place: Number(xxh64(key) % BigInt(size)),
    skip: Number(xxh64(key, 1n) % BigInt(size - 1)) + 1,
    weight,
    due: 0,
  }));
  let filled = 0;
  // Hosts take turns; one of half the weight has every other turn.
  for (let turn = 1; filled < size; turn++) {
    for (let i = 0; i < entries.length && filled < size; i++) {
      const entry = entries[i] as (typeof entries)[number];
      if (turn * entry.weight < entry.due) continue;
      entry.due += heaviest;
      while (table[entry.place] !== -1) entry.place = (entry.place + entry.skip) % size;
      table[entry.place] = i;
      filled++;
    }
  }
  const divisor = BigInt(size);
  // A refused pick goes far from the first, by changing most of the hash's bits.
  return (hash, reselection) => {
    const changed = reselection === 0 ? hash : BigInt.asUintN(64, hash ^ (0xffff_ffff_ffff_ffffn - BigInt(reselection) + 1n));
    return (hosts[table[Number(changed % divisor)] as number] as WeightedHost).host;
  };
}

function isPrime(number: number): boolean {
  if (!Number.isInteger(number) || number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}
