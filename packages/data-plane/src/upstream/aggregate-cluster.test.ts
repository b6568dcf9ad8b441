import { describe, expect, it, vi } from 'vitest';
import { AggregateCluster } from './aggregate-cluster.js';
import { ClusterManager } from './cluster-manager.js';
import { Host } from './host.js';
import { cluster, clusterConfig, clusterContext, endpoint, endpoints, FakeXds, limits, locality, resourceType } from './test-support.js';
import type { UpstreamCluster } from './upstream-cluster.js';

function chooser(of: UpstreamCluster) {
  const one = () => of.choose({ attempt: 0, priority: 'default' });
  /** Hosts by how often they came. */
  const spread = (times: number) => {
    const counts: Record<string, number> = {};
    for (let i = 0; i < times; i++) {
      const chosen = one();
      const key = chosen instanceof Host ? `${chosen.cluster.name} ${chosen.config.address}` : String(chosen.flag);
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return counts;
  };
  return { one, spread };
}

/** 0, 0.01, …, 0.99 and again: 100 picks meet each percent once. */
function sweep() {
  let i = 0;
  return () => (i++ % 100) / 100;
}

const sick = (address: string) => endpoint(address, { health: 'unhealthy' });

describe('choosing in an aggregate cluster', () => {
  function aggregate(config: Parameters<typeof clusterConfig>[0], ...members: ReturnType<typeof cluster>[]) {
    const made = new AggregateCluster(clusterConfig({ name: 'all', ...config }), { random: sweep() });
    made.setMembers(members);
    return made;
  }

  it('prefers the first member, and gives the second what the first cannot carry', () => {
    const first = cluster({ name: 'first' }, endpoints([['a', 'b']]));
    const all = aggregate({}, first, cluster({ name: 'second' }, endpoints([['z']])));
    expect(Object.keys(chooser(all).spread(100)).sort()).toEqual(['first a', 'first b']);
    // 140 · 1/2 = 70.
    first.setEndpoints(endpoints([['a', sick('b')].map((item) => (typeof item === 'string' ? endpoint(item) : item))].map((items) => locality(items))));
    expect(chooser(all).spread(100)).toEqual({ 'first a': 70, 'second z': 30 });
    first.setEndpoints(endpoints([]));
    expect(chooser(all).spread(100)).toEqual({ 'second z': 100 });
  });

  it('lines up the priorities of its members, leaving out those without hosts', () => {
    const first = cluster({ name: 'first', healthyPanicThreshold: 0 }, endpoints([locality([sick('a')]), locality([sick('b'), 'c', sick('d')], { priority: 1 })]));
    const second = cluster({ name: 'second' }, endpoints([locality([]), locality(['y', 'z'], { priority: 1 })]));
    // 140 · 1/3 = 46 for the second priority of the first member, the rest for the only one of the second.
    expect(chooser(aggregate({}, first, second)).spread(100)).toEqual({ 'first c': 46, 'second y': 27, 'second z': 27 });
  });

  it("takes each member's own overprovisioning factor", () => {
    const first = cluster({ name: 'first' }, endpoints([locality(['a', sick('b')])], { overprovisioningFactor: 100 }));
    expect(chooser(aggregate({}, first, cluster({ name: 'second' }, endpoints([['z']])))).spread(100)).toEqual({ 'first a': 50, 'second z': 50 });
  });

  it('panics over all members by its own threshold, and within a member by that one', () => {
    const members = () => [cluster({ name: 'first', healthyPanicThreshold: 0 }, endpoints([locality([sick('a')])])), cluster({ name: 'second' }, endpoints([locality([sick('z')])]))] as const;
    // Load by number of hosts; the first member does not panic and so has none to give.
    expect(chooser(aggregate({}, ...members())).spread(100)).toEqual({ UH: 50, 'second z': 50 });
    expect(chooser(aggregate({ healthyPanicThreshold: 0 }, ...members())).spread(100)).toEqual({ UH: 100 });
  });

  it('has the circuit breakers of the member for requests, its own for retries', () => {
    const first = cluster({ name: 'first', thresholds: limits({ maxRequests: 1 }) }, endpoints([['a']]));
    const all = aggregate({ thresholds: limits({ maxRequests: 0, maxRetries: 1 }) }, first);
    const host = chooser(all).one() as Host;
    expect(host.cluster).toBe(first);
    all.begin(host, 'default');
    expect(chooser(all).one()).toMatchObject({ flag: 'UO' });
    all.end(host, 'default', { status: 200, durationMs: 1 });
    expect(chooser(all).one()).toBe(host);
    expect([all.beginRetry('default'), all.beginRetry('default'), first.beginRetry('default')]).toEqual([true, false, true]);
  });

  it('says what is missing where no member can be used', () => {
    expect(aggregate({}).choose({ attempt: 0, priority: 'default' })).toMatchObject({ status: 503, flag: 'UH', body: 'no healthy upstream: none of the clusters of all is there' });
  });
});

describe('an aggregate cluster that is followed', () => {
  function setup() {
    const xds = new FakeXds();
    const manager = new ClusterManager({ xds, clusterType: resourceType('cluster'), endpointType: resourceType('endpoints'), ...clusterContext() });
    const handle = manager.acquire('all');
    const send = (name: string, clusters: string[]) => xds.send(`cluster/${name}`, clusterConfig({ name, type: { kind: 'aggregate', clusters } }));
    const leaf = (name: string, ...addresses: string[]) => {
      xds.send(`cluster/${name}`, clusterConfig({ name, type: { kind: 'static', assignment: endpoints([addresses]) } }));
    };
    return { xds, manager, handle, send, leaf, next: () => chooser(handle.cluster as UpstreamCluster).one() };
  }

  it('is ready when every member is known to be there or not', () => {
    const { xds, handle, send, leaf, next } = setup();
    const changed = vi.fn();
    handle.subscribe(changed);
    send('all', ['a', 'b']);
    leaf('b', '1');
    expect(handle.state).toBe('pending');
    xds.watcher('cluster/a').onAbsent(new Error('no such cluster'));
    expect([handle.state, changed.mock.calls.length]).toEqual(['ready', 1]);
    expect((next() as Host).cluster.name).toBe('b');
    leaf('a', '2');
    expect((next() as Host).cluster.name).toBe('a');
  });

  it('follows its list, and lets members go', () => {
    const { xds, handle, send, leaf, next } = setup();
    send('all', ['a']);
    leaf('a', '1');
    send('all', ['b']);
    // Until the new member is known nothing better than the old one is.
    leaf('b', '2');
    expect((next() as Host).cluster.name).toBe('b');
    expect(xds.watchers.has('cluster/a')).toBe(false);
    handle.release();
    expect(xds.watchers.size).toBe(0);
  });

  it('stands for the members of those that are aggregates themselves', () => {
    const { xds, send, leaf, next } = setup();
    send('all', ['inner', 'c']);
    send('inner', ['a', 'b']);
    leaf('b', '1');
    leaf('c', '2');
    xds.watcher('cluster/a').onAbsent(new Error('gone'));
    expect((next() as Host).cluster.name).toBe('b');
    leaf('a', '3');
    expect((next() as Host).cluster.name).toBe('a');
  });

  it('refuses to contain itself', () => {
    const { xds, handle, send, leaf, next } = setup();
    send('all', ['inner', 'c']);
    leaf('c', '1');
    send('inner', ['all']);
    expect((next() as Host).cluster.name).toBe('c');
    send('all', ['inner', 'all']);
    expect(handle.error?.message).toContain('contains itself: all → all');
    handle.release();
    expect(xds.watchers.size).toBe(0);
  });

  it('may become a plain cluster and back', () => {
    const { handle, send, leaf, next } = setup();
    send('all', ['a']);
    leaf('a', '1');
    leaf('all', '9');
    expect((next() as Host).config.address).toBe('9');
    send('all', ['a']);
    leaf('a', '1');
    expect([(next() as Host).config.address, handle.state]).toEqual(['1', 'ready']);
  });
});
