import { FakeClock } from '@weft/spiffe/testing';
import { expect, it } from 'vitest';
import { builtinLoadBalancers } from '../load-balancing/builtin.js';
import type { ClusterConfig, EndpointsConfig } from '../resource/cluster-config.js';
import { seededRandom } from '../route/test-support.js';
import { ClusterManager } from './cluster-manager.js';
import { Host } from './host.js';
import { clusterConfig, endpoints, FakeXds, locality, resourceType, silent } from './test-support.js';

it('a process that knows its own cluster and zone routes by zone, and follows both', async () => {
  const xds = new FakeXds();
  const seed = Math.floor(Math.random() * 2 ** 31);
  const manager = new ClusterManager({
    xds, clusterType: resourceType<ClusterConfig>('Cluster'), endpointType: resourceType<EndpointsConfig>('Endpoints'), clock: new FakeClock(0), random: seededRandom(seed), logger: silent, loadBalancers: builtinLoadBalancers,
    ownCluster: { name: 'own', locality: { region: 'r', zone: 'a', subZone: '' } },
  });
  const send = (name: string, ...localities: Parameters<typeof locality>[]) => {
    xds.send(`Endpoints/${name}`, endpoints(localities.map((args) => locality(...args)), { clusterName: name }));
  };
  const zone = (name: string) => ({ region: 'r', zone: name });
  const handle = manager.acquire('service');
  xds.send('Cluster/service', clusterConfig({ name: 'service', type: { kind: 'eds', serviceName: 'service' } }));
  send('service', [['a1', 'a2', 'a3'], zone('a')], [['b1', 'b2', 'b3'], zone('b')]);
  const zones = () => new Set(Array.from({ length: 60 }, () => (handle.cluster!.choose({ attempt: 0, priority: 'default' }) as Host).locality));
  expect(zones().size, `seed ${seed}`).toBe(2);
  // Asked for because the service balances; known only now.
  xds.send('Cluster/own', clusterConfig({ name: 'own', type: { kind: 'eds', serviceName: 'own' } }));
  send('own', [['c1'], zone('a')], [['c2'], zone('b')]);
  expect(zones()).toEqual(new Set(['r/a/']));
  send('own', [['c1', 'c3', 'c4'], zone('a')], [['c2'], zone('b')]);
  expect(zones().size, `seed ${seed}`).toBe(2);
  handle.release();
  expect([...xds.watchers.keys()]).toEqual([]);
  manager.close();
});
