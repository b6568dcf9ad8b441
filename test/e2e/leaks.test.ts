// A process that lives long in a mesh that changes all the time: what it made for what is gone is gone too. Objects are counted, not bytes.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { queryObjects } from 'node:v8';
import { createRuntime, type Runtime } from '@weft/data-plane/internal';
import { Pool } from 'undici';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { meshOver, type Mesh } from '../../packages/client/src/create-mesh.js';
import { ads, assignment, cluster, encode, endpoint, locality, manager, route } from '../../packages/data-plane/src/resource/testing.js';
import { OutboundListenerEntry } from '../../packages/data-plane/src/snapshot/outbound-listener-entry.js';
import { Cluster } from '../../packages/data-plane/src/upstream/cluster.js';
import { Host } from '../../packages/data-plane/src/upstream/host.js';
import { TestAdsServer } from '../../packages/data-plane/src/xds/testing.js';
import { Cluster_DiscoveryType } from '@weft/xds-api/cluster';
import { ListenerSchema } from '@weft/xds-api/listener';
import { HastyClock } from '../support/hasty-clock.js';

const clock = new HastyClock();
const url = (name: string) => `type.googleapis.com/envoy.config.${name}`;
let control: TestAdsServer;
let backend: Server;
let port: number;
let runtime: Runtime;
let mesh: Mesh;
let backendConnections = 0;

beforeAll(async () => {
  control = await TestAdsServer.start({ protocols: ['delta'] });
  // Every 127.x.y.z is this machine: one backend is as many endpoints as a test wants.
  backend = createServer((_incoming, response) => response.end('ok')).listen(0, '0.0.0.0');
  backend.keepAliveTimeout = 0;
  backend.on('connection', (socket) => {
    backendConnections += 1;
    socket.once('close', () => (backendConnections -= 1));
  });
  await once(backend, 'listening');
  port = (backend.address() as AddressInfo).port;
  runtime = createRuntime({ controlPlane: { address: control.address, plaintext: true }, workload: 'default/leaks', address: '127.0.0.1', clock, maxNames: 200 }, {});
  mesh = meshOver(runtime);
});
afterAll(async () => {
  await mesh?.close();
  control?.close();
  backend?.closeAllConnections();
  backend?.close();
});

function serve(name: string): void {
  const routeConfig = { name, virtualHosts: [{ name, domains: ['*'], routes: [route({ action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: name } } } })] }] };
  control.setBytes(url('listener.v3.Listener'), `${name}:80`, encode(ListenerSchema, { name: `${name}:80`, apiListener: { apiListener: manager({ routeSpecifier: { case: 'routeConfig', value: routeConfig as never } }) } }));
  control.setBytes(url('cluster.v3.Cluster'), name, cluster({ name, clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS }, edsClusterConfig: { edsConfig: ads } }));
}
const endpoints = (name: string, ...addresses: string[]) => control.setBytes(url('endpoint.v3.ClusterLoadAssignment'), name, assignment([locality('z', addresses.map((address) => endpoint(address, port)))], { clusterName: name }));
const get = async (name: string) => {
  const { statusCode, body } = await mesh.request(`http://${name}/`);
  await body.text();
  return statusCode;
};
const alive = () => ({
  hosts: queryObjects(Host, { format: 'count' }),
  pools: queryObjects(Pool, { format: 'count' }) - prototypes,
  clusters: queryObjects(Cluster, { format: 'count' }),
  names: queryObjects(OutboundListenerEntry, { format: 'count' }),
  timers: clock.pending,
  connections: backendConnections,
});
// Subclasses' prototypes are objects of the class, too.
const prototypes = queryObjects(Pool, { format: 'count' });
const patience = { timeout: 15_000, interval: 50 };

it('10,000 updates of endpoints leave the endpoints that are there', async () => {
  serve('churn');
  endpoints('churn', '127.0.0.1');
  expect(await get('churn')).toBe(200);
  const before = alive();
  expect(before).toMatchObject({ hosts: 1, pools: 1, clusters: 1, names: 1, connections: 1 });
  const version = () => Number(runtime.xds.status().resources.find(({ type }) => type === 'ClusterLoadAssignment')!.version);
  for (let i = 1; i <= 10_000; i += 1) {
    endpoints('churn', '127.0.0.1', `127.0.${1 + (i >> 8)}.${i & 255}`, `127.1.0.${i & 255}`);
    if (i % 50 > 0) continue;
    // The client is at most 50 updates behind, and dials some of the endpoints while they are there.
    const target = version() + 1;
    await vi.waitFor(() => expect(version()).toBeGreaterThanOrEqual(target), { ...patience, interval: 2 });
    expect(new Set(await Promise.all([get('churn'), get('churn'), get('churn')]))).toEqual(new Set([200]));
  }
  endpoints('churn', '127.0.0.1');
  await vi.waitFor(async () => {
    // The last request may still be held by whatever ran last; the next one takes its place.
    await get('churn');
    const { hosts, ...others } = alive();
    const { hosts: hostsBefore, ...othersBefore } = before;
    expect(others).toEqual(othersBefore);
    expect(hosts).toBeLessThanOrEqual(hostsBefore + 2);
  }, patience);
}, 120_000);

it('1,000 names dialled leave nothing behind: neither at the cap nor when idle', async () => {
  const names = Array.from({ length: 1000 }, (_, i) => `name-${i}`);
  for (const name of names) {
    serve(name);
    endpoints(name, '127.0.0.1');
  }
  for (let i = 0; i < names.length; i += 20) expect(new Set(await Promise.all(names.slice(i, i + 20).map(get)))).toEqual(new Set([200]));
  await vi.waitFor(() => expect(alive()).toMatchObject({ hosts: 200, pools: 200, clusters: 200, names: 200, connections: 200 }), patience);
  for (let i = 0; i < 3; i += 1) clock.hasten(600_000);
  await vi.waitFor(() => expect(alive()).toMatchObject({ hosts: 0, pools: 0, clusters: 0, names: 0, timers: 0, connections: 0 }), patience);
  expect(runtime.xds.status().resources).toEqual([]);
  await vi.waitFor(() => expect([...control.open[0]!.subscribed.values()].map(({ size }) => size)).toEqual([0, 0, 0]), patience);
}, 120_000);
