import { FakeClock } from '@weft/spiffe/testing';
import { expect, test } from 'vitest';
import type { ClusterHandle, ClusterState } from '../upstream/cluster-manager.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import { DynamicClusters } from './dynamic-clusters.js';

function setup(options: ConstructorParameters<typeof DynamicClusters>[2] = {}) {
  const clock = new FakeClock();
  const held: string[] = [];
  const states = new Map<string, ClusterState>();
  const listeners = new Map<string, Set<() => void>>();
  const acquire = (name: string): ClusterHandle => {
    held.push(name);
    const own = new Set<() => void>();
    listeners.set(name, own);
    return {
      name,
      get state() { return states.get(name) ?? 'ready'; },
      get cluster() { return this.state === 'ready' ? ({ name } as UpstreamCluster) : undefined; },
      get error() { return this.state === 'absent' ? new Error(`no ${name}`) : undefined; },
      subscribe(fn) { own.add(fn); return () => own.delete(fn); },
      release: () => void held.splice(held.indexOf(name), 1),
    };
  };
  const become = (name: string, state: ClusterState) => {
    states.set(name, state);
    for (const fn of [...listeners.get(name)!]) fn();
  };
  return { clock, held, states, become, listeners, clusters: new DynamicClusters({ acquire }, clock, options) };
}

test('a cluster is followed from the first request on, until it was unused for longest among too many', () => {
  const { clusters, held } = setup({ most: 2 });
  expect(['a', 'b', 'a'].map((name) => (clusters.get(name) as UpstreamCluster).name)).toEqual(['a', 'b', 'a']);
  expect(held).toEqual(['a', 'b']);
  clusters.get('c');
  expect(held).toEqual(['a', 'c']);
  clusters.close();
  expect(held).toEqual([]);
});

test('one that is not known yet is waited for, but not for ever', async () => {
  const { clusters, states, become, clock, listeners } = setup({ waitMs: 1000 });
  for (const name of ['comes', 'absent', 'late']) states.set(name, 'pending');
  const [comes, absent, late] = ['comes', 'absent', 'late'].map((name) => clusters.get(name));
  become('comes', 'ready');
  become('absent', 'absent');
  clock.advance(1000);
  expect([await comes, await absent, await late]).toEqual([{ name: 'comes' }, undefined, undefined]);
  expect([clusters.error('absent')?.message, clusters.get('absent')]).toEqual(['no absent', undefined]);
  expect([...listeners.values()].every((own) => own.size === 0)).toBe(true);
});

test('nobody waits for one that is given up', async () => {
  const { clusters, states } = setup({ most: 1 });
  states.set('a', 'pending');
  const waiting = clusters.get('a');
  clusters.get('b');
  expect(await waiting).toBeUndefined();
});
