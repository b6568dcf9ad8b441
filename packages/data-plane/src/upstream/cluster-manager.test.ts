import { describe, expect, it, vi } from 'vitest';
import { MeshError } from '../errors.js';
import type { Cluster } from './cluster.js';
import { ClusterManager } from './cluster-manager.js';
import { clusterConfig, clusterContext, endpoints, FakeXds, resourceType } from './test-support.js';

function setup() {
  const xds = new FakeXds();
  const manager = new ClusterManager({ xds, clusterType: resourceType('cluster'), endpointType: resourceType('endpoints'), ...clusterContext() });
  return { xds, manager };
}

describe('cluster manager', () => {
  it('is ready once cluster and endpoints are known, and tells its holders', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    const changed = vi.fn();
    handle.subscribe(changed);
    expect([handle.state, handle.cluster]).toEqual(['pending', undefined]);
    xds.send('cluster/c', clusterConfig());
    expect([handle.state, handle.cluster]).toEqual(['pending', undefined]);
    xds.send('endpoints/c', endpoints([['a']]));
    expect(handle.state).toBe('ready');
    expect(handle.cluster?.name).toBe('c');
    expect(changed).toHaveBeenCalledTimes(1);
    xds.send('endpoints/c', endpoints([['a', 'b']]));
    expect((handle.cluster as Cluster).hosts.length).toBe(2);
    expect(changed).toHaveBeenCalledTimes(1);
    const watcher = xds.watcher('endpoints/c');
    xds.send('cluster/c', clusterConfig({ connectTimeoutMs: 1 }));
    expect(xds.watcher('endpoints/c')).toBe(watcher);
    expect([handle.cluster?.config.connectTimeoutMs, changed.mock.calls.length]).toEqual([1, 1]);
  });

  it('a cluster without endpoints is ready and has no hosts', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    xds.send('cluster/c', clusterConfig());
    xds.watcher('endpoints/c').onAbsent(new Error('gone'));
    expect(handle.state).toBe('ready');
    expect(handle.cluster?.choose({ attempt: 0, priority: 'default' })).toMatchObject({ flag: 'UH' });
  });

  it('static clusters are ready with their configuration', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    xds.send('cluster/c', clusterConfig({ type: { kind: 'static', assignment: endpoints([['a']]) } }));
    expect(handle.state).toBe('ready');
    expect(manager.acquire('c').state).toBe('ready');
  });

  it('an absent cluster is not waited for, and may come later', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    xds.watcher('cluster/c').onAbsent(new Error('no such cluster'));
    expect([handle.state, handle.error?.message]).toEqual(['absent', 'no such cluster']);
    xds.send('cluster/c', clusterConfig());
    expect(handle.state).toBe('pending');
    xds.send('endpoints/c', endpoints([['a']]));
    expect([handle.state, handle.error]).toEqual(['ready', undefined]);
  });

  it('a removed cluster stops following its endpoints, yet serves those who still have it', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    xds.send('cluster/c', clusterConfig());
    xds.send('endpoints/c', endpoints([['a']]));
    const pinned = handle.cluster;
    xds.watcher('cluster/c').onAbsent(new Error('removed'));
    expect([handle.state, handle.cluster]).toEqual(['absent', undefined]);
    expect(pinned?.choose({ attempt: 0, priority: 'default' })).toMatchObject({ key: 'a:80' });
    expect([...xds.watchers.keys()]).toEqual(['cluster/c']);
    xds.send('cluster/c', clusterConfig());
    xds.send('endpoints/c', endpoints([['a']]));
    expect(handle.cluster).not.toBe(pinned);
  });

  it('is waited for while the control plane cannot be reached: that is no answer', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    const unreachable = new MeshError('WEFT_NO_CONFIG', 'unreachable');
    xds.watcher('cluster/c').onError(unreachable);
    expect([handle.state, handle.error]).toEqual(['pending', unreachable]);
    xds.send('cluster/c', clusterConfig());
    xds.watcher('endpoints/c').onError(unreachable);
    expect(handle.state).toBe('pending');
    xds.send('endpoints/c', endpoints([['a']]));
    expect([handle.state, handle.error]).toEqual(['ready', undefined]);
  });

  it('errors end the waiting where nothing good is known, and change nothing where something is', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    xds.watcher('cluster/c').onError(new Error('NACK'));
    expect([handle.state, handle.error?.message]).toEqual(['error', 'NACK']);
    xds.send('cluster/c', clusterConfig());
    xds.watcher('endpoints/c').onError(new Error('NACK of endpoints'));
    expect([handle.state, handle.error?.message, handle.cluster]).toEqual(['error', 'NACK of endpoints', undefined]);
    xds.send('endpoints/c', endpoints([['a']]));
    expect(handle.state).toBe('ready');
    const { cluster } = handle;
    xds.watcher('cluster/c').onError(new Error('later NACK'));
    expect([handle.state, handle.cluster, handle.error?.message]).toEqual(['ready', cluster, 'later NACK']);
  });

  it('what cannot be run is an error that names it; the last good version stays', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    xds.send('cluster/c', clusterConfig({ type: { kind: 'original-dst' } as never }));
    expect([handle.state, handle.error?.message]).toEqual(['error', 'cluster c: type original-dst is not supported']);
    xds.send('cluster/c', clusterConfig());
    xds.send('endpoints/c', endpoints([['a']]));
    xds.send('cluster/c', clusterConfig({ loadBalancing: { policy: 'nope', config: {} } }));
    expect([handle.state, handle.error?.message]).toEqual(['ready', 'cluster c: load-balancing policy nope is not known']);
    expect(handle.cluster?.choose({ attempt: 0, priority: 'default' })).toMatchObject({ key: 'a:80' });
  });

  it('another source of endpoints replaces the first once it has some', () => {
    const { xds, manager } = setup();
    const handle = manager.acquire('c');
    xds.send('cluster/c', clusterConfig());
    xds.send('endpoints/c', endpoints([['a']]));
    const late = xds.watcher('endpoints/c');
    xds.send('cluster/c', clusterConfig({ type: { kind: 'eds', serviceName: 'other' } }));
    expect([...xds.watchers.keys()]).toEqual(['cluster/c', 'endpoints/other']);
    expect(handle.state).toBe('ready');
    late.onResource(endpoints([]) as never);
    expect((handle.cluster as Cluster).hosts.map(({ key }) => key)).toEqual(['a:80']);
    xds.send('endpoints/other', endpoints([['b']]));
    expect((handle.cluster as Cluster).hosts.map(({ key }) => key)).toEqual(['b:80']);
  });

  it('is shared by its holders and ends with the last of them', () => {
    const { xds, manager } = setup();
    const [first, second] = [manager.acquire('c'), manager.acquire('c')];
    const changed = vi.fn();
    first.subscribe(changed);
    xds.send('cluster/c', clusterConfig());
    xds.send('endpoints/c', endpoints([['a']]));
    expect(first.cluster).toBe(second.cluster);
    first.release();
    first.release();
    xds.watcher('cluster/c').onAbsent(new Error('gone'));
    expect(changed).toHaveBeenCalledTimes(1);
    expect(manager.names).toEqual(['c']);
    second.release();
    expect([xds.watchers.size, manager.names.length]).toEqual([0, 0]);
    expect(manager.acquire('c').state).toBe('pending');
  });
});
