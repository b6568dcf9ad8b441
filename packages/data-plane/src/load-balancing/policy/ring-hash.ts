import { RingHash_HashFunction, RingHashSchema } from '@weft/xds-api/load-balancing';
import type { Host } from '../../upstream/host.js';
import { loadXxh64, xxh64 } from '../../route/xxh64.js';
import { consistentHashConfig, hashLoadBalancer, high, low, type ConsistentHashConfig } from '../consistent-hash.js';
import type { HashTable, WeightedHost } from '../hash-table.js';
import type { LoadBalancerFactory } from '../load-balancer.js';
import { consistentOf, type LocalityAwareConfig } from './locality-config.js';
import { murmurHash2 } from './murmur-hash-2.js';
import { readMessage } from './read-message.js';
import { knownFields } from '../../resource/report.js';

const fields = knownFields(RingHashSchema, ['hash_function', 'minimum_ring_size', 'maximum_ring_size', 'use_hostname_for_hashing', 'hash_balance_factor', 'consistent_hashing_lb_config', 'locality_weighted_lb_config']);

export interface RingHashConfig extends LocalityAwareConfig, ConsistentHashConfig {
  minimumRingSize: number;
  maximumRingSize: number;
  /** Of the hosts; requests are hashed with XXH64 either way. */
  hashFunction: 'xx-hash' | 'murmur-hash-2';
}

const largestRing = 8_388_608;

/** Throws where a value is invalid. */
export function ringHashConfig(settings: Partial<RingHashConfig>): RingHashConfig {
  const { minimumRingSize = 1024, maximumRingSize = largestRing, hashFunction = 'xx-hash', localityWeighted = false } = settings;
  for (const [name, size] of Object.entries({ minimum_ring_size: minimumRingSize, maximum_ring_size: maximumRingSize })) {
    if (size < 1 || size > largestRing) throw new Error(`${name} must be 1 to ${largestRing}, not ${size}`);
  }
  if (minimumRingSize > maximumRingSize) throw new Error(`minimum_ring_size ${minimumRingSize} is above maximum_ring_size ${maximumRingSize}`);
  return { minimumRingSize, maximumRingSize, hashFunction, localityWeighted, ...consistentHashConfig(settings) };
}

/** Ketama: hosts hashed many times each onto a ring; a request goes to the next point at or after its own hash. */
export const ringHash: LoadBalancerFactory<RingHashConfig> = {
  name: 'envoy.load_balancing_policies.ring_hash',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash',
  messages: [RingHashSchema],
  hashBased: true,
  parse(value) {
    const message = readMessage(RingHashSchema, fields, value);
    return ringHashConfig({
      ...(message.minimumRingSize !== undefined && { minimumRingSize: Number(message.minimumRingSize) }),
      ...(message.maximumRingSize !== undefined && { maximumRingSize: Number(message.maximumRingSize) }),
      // The two fields of the message itself are the older place of the same.
      ...consistentOf(message.consistentHashingLbConfig ?? message),
      hashFunction: message.hashFunction === RingHash_HashFunction.MURMUR_HASH_2 ? 'murmur-hash-2' : 'xx-hash',
      localityWeighted: message.localityWeightedLbConfig !== undefined,
    });
  },
  create(config, context) {
    void loadXxh64();
    return hashLoadBalancer(config, context, (hosts) => buildRing(hosts, config));
  },
};

function buildRing(hosts: readonly WeightedHost[], { minimumRingSize, maximumRingSize, hashFunction }: RingHashConfig): HashTable {
  const hash = hashFunction === 'murmur-hash-2' ? murmurHash2 : (key: string) => xxh64(key);
  const least = hosts.reduce((smallest, { weight }) => Math.min(smallest, weight), 1);
  // So many points that the lightest host has a whole number of them.
  const scale = Math.min(Math.ceil(least * minimumRingSize) / least, maximumRingSize);
  const placed = new Map<bigint, number>();
  let points = 0;
  let target = 0;
  hosts.forEach(({ key, weight }, index) => {
    target += scale * weight;
    for (let i = 0; points < target; i++, points++) {
      const point = hash(`${key}_${i}`);
      // Hosts with one key between them: the first has all.
      if (!placed.has(point)) placed.set(point, index);
    }
  });
  const ring = BigUint64Array.from(placed.keys()).sort();
  const size = ring.length;
  // In halves: comparing numbers is many times quicker than comparing BigInts.
  const tops = Uint32Array.from(ring, high);
  const bottoms = Uint32Array.from(ring, low);
  const owners = hosts.map(({ host }) => host);
  const indexes = Uint32Array.from(ring, (point) => placed.get(point) as number);
  return (wanted, reselection) => {
    const at = firstAtOrAfter(tops, bottoms, high(wanted), low(wanted));
    return owners[indexes[(at + reselection) % size] as number] as Host;
  };
}

/** Where there is none: past the end. */
function firstAtOrAfter(tops: Uint32Array, bottoms: Uint32Array, top: number, bottom: number): number {
  let from = 0;
  let to = tops.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const other = tops[middle] as number;
    if (other < top || (other === top && (bottoms[middle] as number) < bottom)) from = middle + 1;
    else to = middle;
  }
  return from;
}
