import { fromBinary } from '@weft/xds-api/protobuf';
import { RingHash_HashFunction, RingHashSchema } from '@weft/xds-api/load-balancing';
import { loadXxh64, xxh64 } from '../../route/xxh64.js';
import type { Host } from '../../upstream/host.js';
import { hashLoadBalancer, type HashTable, type WeightedHost } from '../consistent-hash.js';
import type { LoadBalancerFactory } from '../load-balancer.js';
import type { LocalityAwareConfig } from './locality-config.js';

export interface RingHashConfig extends LocalityAwareConfig {
  minimumRingSize: number;
  maximumRingSize: number;
  useHostname: boolean;
}

const largestRing = 8_388_608;

/** Throws where a size is invalid. */
export function ringHashConfig(settings: { minimumRingSize?: number; maximumRingSize?: number; useHostname?: boolean; localityWeighted?: boolean }): RingHashConfig {
  const { minimumRingSize = 1024, maximumRingSize = largestRing, useHostname = false, localityWeighted = false } = settings;
  for (const [name, size] of Object.entries({ minimum_ring_size: minimumRingSize, maximum_ring_size: maximumRingSize })) {
    if (size < 1 || size > largestRing) throw new Error(`${name} must be 1 to ${largestRing}, not ${size}`);
  }
  if (minimumRingSize > maximumRingSize) throw new Error(`minimum_ring_size ${minimumRingSize} is above maximum_ring_size ${maximumRingSize}`);
  return { minimumRingSize, maximumRingSize, useHostname, localityWeighted };
}

/** Ketama: hosts hashed many times each onto a ring; a request goes to the next point at or after its own hash. */
export const ringHash: LoadBalancerFactory<RingHashConfig> = {
  name: 'envoy.load_balancing_policies.ring_hash',
  typeUrl: 'type.googleapis.com/envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash',
  messages: [RingHashSchema],
  hashBased: true,
  parse(value) {
    const message = fromBinary(RingHashSchema, value);
    const consistent = message.consistentHashingLbConfig;
    if (message.hashFunction === RingHash_HashFunction.MURMUR_HASH_2) throw new Error('hash_function MURMUR_HASH_2 is not supported');
    if ((consistent?.hashBalanceFactor ?? message.hashBalanceFactor) !== undefined) throw new Error('hash_balance_factor is not supported');
    return ringHashConfig({
      ...(message.minimumRingSize !== undefined && { minimumRingSize: Number(message.minimumRingSize) }),
      ...(message.maximumRingSize !== undefined && { maximumRingSize: Number(message.maximumRingSize) }),
      useHostname: consistent?.useHostnameForHashing ?? message.useHostnameForHashing,
      localityWeighted: message.localityWeightedLbConfig !== undefined,
    });
  },
  create(config, context) {
    void loadXxh64();
    return hashLoadBalancer(config.useHostname, context, (hosts) => buildRing(hosts, config));
  },
};

function buildRing(hosts: readonly WeightedHost[], { minimumRingSize, maximumRingSize }: RingHashConfig): HashTable {
  const least = hosts.reduce((smallest, { weight }) => Math.min(smallest, weight), 1);
  // So many points that the lightest host has a whole number of them.
  const scale = Math.min(Math.ceil(least * minimumRingSize) / least, maximumRingSize);
  const owners = new Map<bigint, Host>();
  let points = 0;
  let target = 0;
  for (const { host, key, weight } of hosts) {
    target += scale * weight;
    for (let i = 0; points < target; i++, points++) owners.set(xxh64(`${key}_${i}`), host);
  }
  const ring = BigUint64Array.from(owners.keys()).sort();
  return (hash, reselection) => owners.get(ring[(firstAtOrAfter(ring, hash) + reselection) % ring.length] as bigint) as Host;
}

function firstAtOrAfter(ring: BigUint64Array, hash: bigint): number {
  let low = 0;
  let high = ring.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ring[middle] as bigint) < hash) low = middle + 1;
    else high = middle;
  }
  return low % ring.length;
}
