import { describe, expect, it } from 'vitest';
import { Host } from '../upstream/host.js';
import type { Cluster } from '../upstream/cluster.js';
import { cluster, clusterContext, endpoint, endpoints, host, locality } from '../upstream/test-support.js';
import { legacyLoadBalancing } from './builtin.js';
import { parseSlowStart, SlowStart } from './policy/slow-start.js';

const slowStart = { windowMs: 10_000, aggression: 1, minWeightPercent: 10 };
const share = (of: Cluster, address: string, count = 1100) => {
  let hits = 0;
  for (let i = 0; i < count; i++) if ((of.choose({ attempt: 0, priority: 'default' }) as Host).config.address === address) hits++;
  return hits / count;
};

describe('slow start', () => {
  it.each([[1, 0, 0.1], [1, 500, 0.1], [1, 5000, 0.5], [1, 9999, 0.9999], [1, 10_000, 1], [1, 99_000, 1], [2, 2500, 0.5], [0.5, 5000, 0.25]])('aggression %d after %d ms: %d of the weight', (aggression, now, expected) => {
    expect(new SlowStart({ ...slowStart, aggression }, () => now).factor(host('a'))).toBeCloseTo(expected, 6);
  });

  it.each(['ROUND_ROBIN', 'LEAST_REQUEST'])('with %s a new host gets a growing share, then its full one', (policy) => {
    const context = clusterContext();
    const of = cluster({ loadBalancing: legacyLoadBalancing(policy, { slowStart }) }, endpoints([['old']]), context);
    context.clock.advance(60_000);
    of.setEndpoints(endpoints([['old', 'new']]));
    expect(share(of, 'new')).toBeCloseTo(1 / 11, 2);
    context.clock.advance(5000);
    // Of 1.5 in all.
    expect(share(of, 'new', 3000)).toBeCloseTo(1 / 3, 2);
    context.clock.advance(5000);
    expect(share(of, 'new', 2000)).toBeCloseTo(1 / 2, 1);
  });

  it('begins again when the control plane calls a host healthy again', () => {
    const context = clusterContext();
    const of = cluster({ loadBalancing: legacyLoadBalancing('ROUND_ROBIN', { slowStart }) }, endpoints([['a', 'b', 'c']]), context);
    context.clock.advance(60_000);
    const withA = (health: 'healthy' | 'unhealthy') => of.setEndpoints(endpoints([locality([endpoint('a', { health }), 'b', 'c'])]));
    withA('unhealthy');
    context.clock.advance(60_000);
    withA('healthy');
    expect(share(of, 'a', 2100)).toBeCloseTo(0.1 / 2.1, 2);
  });

  it('needs a window, and values in range', () => {
    expect(parseSlowStart(undefined)).toBeUndefined();
    expect(parseSlowStart({ slowStartWindow: { seconds: 10n, nanos: 0 } })).toEqual({ slowStart });
    expect(() => parseSlowStart({})).toThrow(/slow_start_window/);
    const slowStartWindow = { seconds: 1n, nanos: 0 };
    expect(() => parseSlowStart({ slowStartWindow, aggression: { defaultValue: 0 } })).toThrow(/aggression/);
    expect(() => parseSlowStart({ slowStartWindow, minWeightPercent: { value: 101 } })).toThrow(/min_weight_percent/);
  });
});
