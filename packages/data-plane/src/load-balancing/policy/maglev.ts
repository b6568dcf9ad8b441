import { MaglevSchema } from '@weft/xds-api/load-balancing';
import type { Host } from '../../upstream/host.js';
import { loadXxh64, xxh64 } from '../../route/xxh64.js';
import { consistentHashConfig, hashLoadBalancer, high, low, type ConsistentHashConfig } from '../consistent-hash.js';
import type { HashTable, WeightedHost } from '../hash-table.js';
import type { LoadBalancerFactory } from '../load-balancer.js';
import { consistentOf, type LocalityAwareConfig } from './locality-config.js';
import { readMessage } from './read-message.js';
import { knownFields } from '../../resource/report.js';

const fields = knownFields(MaglevSchema, ['table_size', 'consistent_hashing_lb_config', 'locality_weighted_lb_config']);

export interface MaglevConfig extends LocalityAwareConfig, ConsistentHashConfig {
  /** A prime. */
  tableSize: number;
}

/** Throws where a value is invalid. */
export function maglevConfig({ tableSize = 65_537, localityWeighted = false, ...consistent }: Partial<MaglevConfig>): MaglevConfig {
  if (tableSize > 5_000_011 || !isPrime(tableSize)) throw new Error(`table_size must be a prime up to 5000011, not ${tableSize}`);
  return { tableSize, localityWeighted, ...consistentHashConfig(consistent) };
}

/** A table in which each host has its share of places; most keep their owner when hosts come and go. */
export const maglev: LoadBalancerFactory<MaglevConfig> = {
  name: 'envoy.load_balancing_policies.maglev',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev',
  messages: [MaglevSchema],
  hashBased: true,
  parse(value) {
    const { tableSize, consistentHashingLbConfig: consistent, localityWeightedLbConfig } = readMessage(MaglevSchema, fields, value);
    return maglevConfig({
      ...(tableSize !== undefined && { tableSize: Number(tableSize) }),
      ...consistentOf(consistent),
      localityWeighted: localityWeightedLbConfig !== undefined,
    });
  },
  create(config, context) {
    void loadXxh64();
    return hashLoadBalancer(config, context, (hosts) => buildTable(hosts, config.tableSize));
  },
};

function buildTable(hosts: readonly WeightedHost[], size: number): HashTable {
  const table = new Int32Array(size).fill(-1);
  const heaviest = hosts.reduce((most, { weight }) => Math.max(most, weight), 0);
  // By key, whatever order the control plane lists them in: who takes turns first decides who gets a place that two want.
  const sorted = hosts.toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  const entries = sorted.map(({ key, weight }) => ({
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
  const owners = sorted.map(({ host }) => host);
  const upper = 2 ** 32 % size;
  return (hash, reselection) => {
    let top = high(hash);
    let bottom = low(hash);
    // A refused pick goes far from the first, by changing most of the hash's bits.
    if (reselection > 0) {
      top = ~top >>> 0;
      bottom = (bottom ^ (2 ** 32 - reselection)) >>> 0;
    }
    // hash % size, in two halves: sizes have 23 bits at most, so that nothing leaves the range of exact numbers. By hand, since % of
    // numbers beyond 32 bits is many times slower.
    const joined = (top % size) * upper + bottom;
    let place = joined - Math.floor(joined / size) * size;
    if (place < 0) place += size;
    else if (place >= size) place -= size;
    return owners[table[place] as number] as Host;
  };
}

function isPrime(number: number): boolean {
  if (!Number.isInteger(number) || number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}
