import { describe, expect, it } from 'vitest';
import { seededRandom } from '../route/test-support.js';
import { Host } from '../upstream/host.js';
import { cluster, clusterContext, endpoint, endpoints, host, locality } from '../upstream/test-support.js';
import { zoneAwareConfig, type LocalCluster } from './zone-aware-picker.js';

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const zone = (name: string, count: number) => locality(names(name, count), { zone: name });

/** Callers by zone; we are in `own`. */
function callers(own: string, counts: Record<string, number>): LocalCluster & { change(counts: Record<string, number>): void } {
  const listeners = new Set<() => void>();
  const of = (zones: Record<string, number>) => Object.entries(zones).map(([name, count]) => ({ key: `/${name}/`, weight: 1, hosts: names(`caller-${name}`, count).map((address) => host(address)) }));
  let localities = of(counts);
  return {
    locality: `/${own}/`,
    localities: () => localities,
    subscribe: (changed) => (listeners.add(changed), () => void listeners.delete(changed)),
    change(next) {
      localities = of(next);
      for (const listener of listeners) listener();
    },
  };
}

const seed = Math.floor(Math.random() * 2 ** 31);
function shares(localCluster: LocalCluster | undefined, zones: ReturnType<typeof locality>[], config: Parameters<typeof cluster>[0] = {}) {
  const of = cluster(config, endpoints(zones), clusterContext({ random: seededRandom(seed), localCluster }));
  const measure = () => {
    const count: Record<string, number> = {};
    for (let i = 0; i < 4000; i++) {
      const chosen = of.choose({ attempt: 0, priority: 'default' });
      const name = chosen instanceof Host ? chosen.locality.slice(1, -1) : chosen.details;
      count[name] = (count[name] ?? 0) + 1 / 4000;
    }
    return count;
  };
  return { of, measure };
}
const near = (value: number | undefined, expected: number) => expect(Math.abs((value ?? 0) - expected), `seed ${seed}: ${value} instead of ${expected}`).toBeLessThan(0.04);

describe('zone-aware routing', () => {
  it('stays in the own zone where it has its share of hosts', () => {
    expect(shares(callers('a', { a: 2, b: 2 }), [zone('a', 3), zone('b', 3)]).measure()).toEqual({ a: expect.closeTo(1) });
  });

  it('sends what the own zone cannot carry to zones with room', () => {
    // Half of the callers are here, but a quarter of the hosts: half stays. b has as many hosts as callers, c takes the rest.
    const spread = shares(callers('a', { a: 4, b: 2, c: 2 }), [zone('a', 2), zone('b', 2), zone('c', 4)]).measure();
    near(spread['a'], 0.5);
    near(spread['b'], 0);
    near(spread['c'], 0.5);
  });

  it('follows the callers as they come and go', () => {
    const local = callers('a', { a: 4, b: 2, c: 2 });
    const { measure } = shares(local, [zone('a', 2), zone('b', 2), zone('c', 4)]);
    near(measure()['a'], 0.5);
    local.change({ a: 1, b: 3, c: 4 });
    near(measure()['a'], 1);
  });

  it.each<[string, LocalCluster | undefined, object]>([
    ['without a local cluster', undefined, {}],
    ['whose callers are not known', callers('a', {}), {}],
    ['with fewer hosts than min_cluster_size', callers('a', { a: 1, b: 1 }), { zoneAware: zoneAwareConfig({ minClusterSize: 7n, failTrafficOnPanic: false }) }],
    ['that enables it for no request', callers('a', { a: 1, b: 1 }), { zoneAware: zoneAwareConfig({ routingEnabled: { value: 0 }, failTrafficOnPanic: false }) }],
  ])('is not done in a cluster %s', (_name, local, config) => {
    near(shares(local, [zone('a', 3), zone('b', 3)], config).measure()['a'], 0.5);
  });

  it('can be forced into the own zone', () => {
    const config = { zoneAware: zoneAwareConfig({ failTrafficOnPanic: false, forceLocalZone: { minSize: 2 } }) };
    near(shares(callers('a', { a: 4, b: 1 }), [zone('a', 2), zone('b', 6)], config).measure()['a'], 1);
    near(shares(callers('a', { a: 4, b: 1 }), [zone('a', 1), zone('b', 6)], config).measure()['a'], 0.18);
  });
});

describe('fail_traffic_on_panic', () => {
  it('refuses instead of asking hosts that are not well', () => {
    const sick = names('s', 3).map((address) => endpoint(address, { health: 'unhealthy' }));
    const zoneAware = zoneAwareConfig({ failTrafficOnPanic: true });
    const of = (config: object) => cluster(config, endpoints([locality(['a', ...sick])])).choose({ attempt: 0, priority: 'default' });
    expect(of({ zoneAware })).toMatchObject({ status: 503, flag: 'UH' });
    expect(of({})).toBeInstanceOf(Host);
  });
});
