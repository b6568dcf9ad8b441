import { describe, expect, it } from 'vitest';
import { legacyLoadBalancing } from './builtin.js';
import { seededRandom } from '../route/test-support.js';
import { cluster, clusterContext, endpoint, endpoints, locality } from '../upstream/test-support.js';
import { Host } from '../upstream/host.js';
import type { Cluster } from '../upstream/cluster.js';

const pick = (from: Cluster, hash?: bigint) => {
  const chosen = from.choose({ attempt: 0, priority: 'default', ...(hash !== undefined && { hash }) });
  return chosen instanceof Host ? chosen.config.address : chosen.details;
};
const shares = (from: Cluster, count: number) => {
  const result: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const name = pick(from);
    result[name] = (result[name] ?? 0) + 1;
  }
  return result;
};
const sick = (address: string) => endpoint(address, { health: 'unhealthy' });

describe('priorities', () => {
  it('use the second only for what the first cannot carry', () => {
    const healthy = cluster({}, endpoints([locality(['a', 'b']), locality(['z'], { priority: 1 })]));
    expect(Object.keys(shares(healthy, 50)).sort()).toEqual(['a', 'b']);
    const seed = Math.floor(Math.random() * 2 ** 31);
    const half = cluster({}, endpoints([locality(['a', sick('b')]), locality(['z'], { priority: 1 })]), clusterContext({ random: seededRandom(seed) }));
    const spread = shares(half, 5000);
    expect(spread['b'], `seed ${seed}`).toBeUndefined();
    expect(Math.abs((spread['a'] ?? 0) / 5000 - 0.7), `seed ${seed}`).toBeLessThan(0.04);
  });

  it('keep the same key at the same priority where the policy goes by keys', () => {
    const half = cluster({ loadBalancing: legacyLoadBalancing('RING_HASH') }, endpoints([locality(['a', sick('b')]), locality(['z'], { priority: 1 })]), clusterContext({ random: Math.random }));
    expect(new Set(Array.from({ length: 20 }, () => pick(half, 69n)))).toEqual(new Set(['a']));
    expect(new Set(Array.from({ length: 20 }, () => pick(half, 70n)))).toEqual(new Set(['z']));
    const byTurns = cluster({}, endpoints([locality(['a', sick('b')]), locality(['z'], { priority: 1 })]), clusterContext({ random: () => 0.9 }));
    expect(pick(byTurns, 69n)).toBe('z');
  });

  it('use degraded hosts after healthy ones', () => {
    const degraded = endpoint('d', { health: 'degraded' });
    expect(Object.keys(shares(cluster({}, endpoints([locality(['a', 'b', 'c', degraded])])), 50)).sort()).toEqual(['a', 'b', 'c']);
    expect(Object.keys(shares(cluster({}, endpoints([locality([degraded])])), 5))).toEqual(['d']);
  });

  it('take everybody in panic, and nobody where panic is off', () => {
    const mostlySick = endpoints([locality(['a', sick('b'), sick('c')])]);
    expect(Object.keys(shares(cluster({}, mostlySick), 30)).sort()).toEqual(['a', 'b', 'c']);
    expect(Object.keys(shares(cluster({ healthyPanicThreshold: 0 }, mostlySick), 30))).toEqual(['a']);
    expect(pick(cluster({ healthyPanicThreshold: 0 }, endpoints([locality([sick('a')])])))).toBe('no_healthy_upstream');
    expect(pick(cluster({}, endpoints([])))).toBe('no_healthy_upstream');
  });

  it('the overprovisioning factor of the endpoints counts', () => {
    const of = (overprovisioningFactor: number) => cluster({}, endpoints([locality(['a', sick('b')]), locality(['z'], { priority: 1 })], { overprovisioningFactor }), clusterContext({ random: () => 0.99 }));
    expect(pick(of(200))).toBe('a');
    expect(pick(of(100))).toBe('z');
  });
});

describe('localities', () => {
  const two = (east: readonly (string | ReturnType<typeof endpoint>)[], west: readonly string[]) => endpoints([locality(east, { region: 'east', weight: 3 }), locality(west, { region: 'west', weight: 1 })]);

  it('are chosen by weight, whatever the number of their hosts', () => {
    expect(shares(cluster({ localityWeighted: true }, two(['e'], ['w1', 'w2', 'w3'])), 400)['e']).toBe(300);
  });

  it('count for nothing where the cluster does not ask for them', () => {
    expect(shares(cluster({}, two(['e'], ['w1', 'w2', 'w3'])), 400)['e']).toBe(100);
  });

  it('weigh less once too few of their hosts are usable', () => {
    // East: 3 · min(1, 1.4 · 1/2) = 2.1 against 1.
    const spread = shares(cluster({ localityWeighted: true }, two(['e', sick('e2')], ['w1', 'w2'])), 3100);
    expect(Math.abs((spread['e'] ?? 0) - 2100)).toBeLessThan(3);
  });

  it('without any usable host are left out', () => {
    expect(Object.keys(shares(cluster({ localityWeighted: true, healthyPanicThreshold: 10 }, two([sick('e')], ['w1', 'w2'])), 20)).sort()).toEqual(['w1', 'w2']);
  });
});
