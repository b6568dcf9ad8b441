import { create, toBinary } from '@weft/xds-api/protobuf';
import { MaglevSchema, RingHash_HashFunction, RingHashSchema } from '@weft/xds-api/load-balancing';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../route/test-support.js';
import { Host } from '../upstream/host.js';
import { cluster, endpoint, endpoints, host, locality } from '../upstream/test-support.js';
import { legacyLoadBalancing } from './builtin.js';
import { maglev } from './policy/maglev.js';
import { ringHash, ringHashConfig } from './policy/ring-hash.js';
import type { Picker } from './load-balancer.js';

const ports = [90, 91, 92, 93, 94, 95];
const local = () => ports.map((port) => host('127.0.0.1', { port }));
const at = (picker: Picker, hash: bigint, reselection = 0) => picker.pick({ attempt: 0, hash, reselection })?.config.port;
const seed = Math.floor(Math.random() * 2 ** 31);
const random = seededRandom(seed);
const hashes = Array.from({ length: 4000 }, () => (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32)));
const context = { random, now: () => 0, activeRequests: () => 0 };

describe('ring hash', () => {
  const ring = (size: number) => ringHash.create(ringHashConfig({ minimumRingSize: size }), context);

  // The places of six hosts on Envoy's ring of twelve points: both must send a key to the same host.
  const places: readonly [bigint, number][] = [
    [833437586790550860n, 94], [928266305478181108n, 92], [1033482794131418490n, 90], [3551244743356806947n, 95], [3851675632748031481n, 93], [5583722120771150861n, 91],
    [6311230543546372928n, 91], [7700377290971790572n, 93], [13144177310400110813n, 95], [13444792449719432967n, 92], [15516499411664133160n, 94], [16117243373044804889n, 90],
  ];

  it('has its points where Envoy has them, and takes the next one, round the end', () => {
    const picker = ring(12).update(local());
    for (const [place, port] of places) expect(at(picker, place)).toBe(port);
    expect([0n, 833437586790550861n, 16117243373044804890n, 2n ** 64n - 1n].map((hash) => at(picker, hash))).toEqual([94, 92, 94, 94]);
  });

  it('goes on along the ring when a pick is refused', () => {
    expect([0, 1, 2, 12].map((reselection) => at(ring(12).update(local()), 0n, reselection))).toEqual([94, 92, 90, 94]);
  });

  it('spreads by weight', () => {
    const picker = ring(4096).update([host('a', { weight: 1, port: 1 }), host('b', { weight: 3, port: 2 })]);
    const share = hashes.filter((hash) => at(picker, hash) === 2).length / hashes.length;
    expect(Math.abs(share - 0.75), `seed ${seed}`).toBeLessThan(0.06);
  });

  it('follows a weight that changes while the hosts stay', () => {
    const balancer = ring(1024);
    const [a, b] = [host('a', { port: 1 }), host('b', { port: 2 })];
    balancer.update([a, b]).pick({ attempt: 0, hash: 0n });
    a.config = { ...a.config, weight: 9 };
    const picker = balancer.update([a, b]);
    expect(hashes.filter((hash) => at(picker, hash) === 1).length / hashes.length, `seed ${seed}`).toBeGreaterThan(0.8);
  });

  it('moves few keys of others when a host goes, and all back when it returns', () => {
    const balancer = ring(1024);
    const all = local();
    const before = balancer.update(all);
    const owners = hashes.map((hash) => at(before, hash));
    const after = balancer.update(all.slice(1));
    // The ring keeps its size, so that the hosts left get a fifth more points each: that moves about a sixth of the keys.
    const moved = hashes.filter((hash, i) => owners[i] !== 90 && at(after, hash) !== owners[i]).length;
    expect(moved / hashes.length, `seed ${seed}`).toBeLessThan(0.25);
    const again = balancer.update(all);
    expect(hashes.map((hash) => at(again, hash))).toEqual(owners);
  });

  it('hashes by metadata, or by name where asked to', () => {
    const named = (metadata: Record<string, Record<string, unknown>>) => [host('10.0.0.1', { hostname: 'x', port: 1, metadata }), host('10.0.0.2', { hostname: 'y', port: 2 })];
    const owners = (picker: Picker) => hashes.slice(0, 200).map((hash) => at(picker, hash));
    const byAddress = owners(ring(64).update(named({})));
    expect(owners(ring(64).update(named({ 'envoy.lb': { hash_key: '10.0.0.1:1' } })))).toEqual(byAddress);
    expect(owners(ring(64).update(named({ 'envoy.lb': { hash_key: 'other' } })))).not.toEqual(byAddress);
    expect(owners(ringHash.create(ringHashConfig({ minimumRingSize: 64, useHostname: true }), context).update(named({})))).not.toEqual(byAddress);
  });

  it('without a hash takes any host', () => {
    const picker = ring(1024).update(local());
    expect(new Set(Array.from({ length: 300 }, () => picker.pick({ attempt: 0 })?.config.port)).size, `seed ${seed}`).toBe(6);
    expect(ring(8).update([]).pick({ attempt: 0 })).toBeUndefined();
  });

  it('reads its message and checks it', () => {
    const parse = (init: Parameters<typeof create<typeof RingHashSchema>>[1]) => ringHash.parse(toBinary(RingHashSchema, create(RingHashSchema, init)));
    expect(parse({})).toEqual({ minimumRingSize: 1024, maximumRingSize: 8_388_608, hashFunction: 'xx-hash', useHostname: false, localityWeighted: false });
    expect(parse({ hashFunction: RingHash_HashFunction.MURMUR_HASH_2 }).hashFunction).toBe('murmur-hash-2');
    expect(() => parse({ minimumRingSize: 0n })).toThrow(/minimum_ring_size/);
    expect(() => parse({ minimumRingSize: 10n, maximumRingSize: 9n })).toThrow(/above/);
    expect(parse({ hashBalanceFactor: 120 }).hashBalanceFactor).toBe(120);
    expect(() => parse({ hashBalanceFactor: 99 })).toThrow(/hash_balance_factor/);
  });
});

describe('maglev', () => {
  const table = (tableSize = 1009) => maglev.create({ tableSize, useHostname: false, localityWeighted: false }, context);
  const places = (picker: Picker, size = 1009) => Array.from({ length: size }, (_, i) => at(picker, BigInt(i)) as number);

  it('gives every host of equal weight the same number of places, give or take one', () => {
    const all = places(table().update(local()));
    const counts = ports.map((port) => all.filter((owner) => owner === port).length);
    expect(counts.reduce((sum, count) => sum + count)).toBe(1009);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  it('gives places by weight', () => {
    const all = places(table().update([host('a', { weight: 1, port: 1 }), host('b', { weight: 3, port: 2 })]));
    expect(Math.abs(all.filter((owner) => owner === 2).length - 757)).toBeLessThanOrEqual(2);
  });

  it('moves few other keys when a host goes', () => {
    const balancer = table(65_537);
    const all = local();
    const before = places(balancer.update(all), 65_537);
    const after = places(balancer.update(all.slice(1)), 65_537);
    const moved = before.filter((owner, i) => owner !== 90 && owner !== after[i]).length;
    expect(moved / 65_537).toBeLessThan(0.05);
  });

  it('takes another place when a pick is refused', () => {
    const picker = table().update(local());
    const same = hashes.filter((hash) => at(picker, hash) === at(picker, hash, 1)).length;
    expect(same / hashes.length, `seed ${seed}`).toBeLessThan(0.25);
  });

  it('needs a prime', () => {
    expect(() => maglev.parse(toBinary(MaglevSchema, create(MaglevSchema, { tableSize: 1000n })))).toThrow(/prime/);
    expect(maglev.parse(toBinary(MaglevSchema, create(MaglevSchema, {}))).tableSize).toBe(65_537);
  });
});

describe('consistent hashing in a cluster', () => {
  it('keeps a key on its host, with locality weights as host weights', () => {
    const of = cluster({ loadBalancing: legacyLoadBalancing('RING_HASH'), localityWeighted: true }, endpoints([
      locality([endpoint('e', { weight: 1 })], { region: 'east', weight: 9 }),
      locality([endpoint('w1'), endpoint('w2')], { region: 'west', weight: 1 }),
    ]));
    const pick = (hash: bigint) => (of.choose({ attempt: 0, priority: 'default', hash }) as Host).config.address;
    for (const hash of hashes.slice(0, 50)) expect(pick(hash)).toBe(pick(hash));
    const east = hashes.filter((hash) => pick(hash) === 'e').length / hashes.length;
    expect(Math.abs(east - 0.9), `seed ${seed}`).toBeLessThan(0.06);
  });

  it('a retry leaves the host of its key', () => {
    const of = cluster({ loadBalancing: legacyLoadBalancing('MAGLEV', { tableSize: 1009 }) }, endpoints([['a', 'b', 'c']]));
    const first = of.choose({ attempt: 0, priority: 'default', hash: 5n }) as Host;
    expect(of.choose({ attempt: 1, priority: 'default', hash: 5n, attempted: [first], hostSelectionAttempts: 20 })).not.toBe(first);
  });
});
