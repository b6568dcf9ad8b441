import { expect, it } from 'vitest';
import { ClusterManager } from '../upstream/cluster-manager.js';
import { clusterConfig, clusterContext, endpoints, FakeXds, resourceType } from '../upstream/test-support.js';
import { ClusterSet } from './cluster-set.js';

it('knows which clusters are there, and of the others why they are not', () => {
  const xds = new FakeXds();
  const manager = new ClusterManager({ xds, clusterType: resourceType('cluster'), endpointType: resourceType('endpoints'), ...clusterContext() });
  const set = new ClusterSet(manager, ['a', 'b', 'c'], () => undefined);
  expect([set.settled, set.missing().size]).toEqual([false, 0]);
  xds.send('cluster/a', clusterConfig({ name: 'a' }));
  xds.send('endpoints/a', endpoints([['x']]));
  xds.watcher('cluster/b').onAbsent(new Error('Cluster b does not exist'));
  xds.watcher('cluster/c').onError(new Error('Cluster c: lb_policy: is not supported'));
  expect(set.settled).toBe(true);
  expect([...set.present().keys()]).toEqual(['a']);
  expect([...set.missing()].map(([name, { message }]) => `${name} ${message}`)).toEqual(['b Cluster b does not exist', 'c Cluster c: lb_policy: is not supported']);
  set.release();
  expect(manager.names).toEqual([]);
});
