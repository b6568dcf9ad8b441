// Endpoints that come and go must cost no request that already has its host.
import grpc from '@grpc/grpc-js';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { builtinLoadBalancers } from '../../data-plane/src/load-balancing/builtin.js';
import { seededRandom } from '../../data-plane/src/route/test-support.js';
import { HandMadeMesh } from '../test-support/hand-made-mesh.js';

const open: { close(): unknown }[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).reverse().map((item) => item.close()))));

const seed = Math.floor(Math.random() * 2 ** 31);
const random = seededRandom(seed);
const bytes = (value: Buffer) => value;
const method = { path: '/pkg.Echo/Echo', requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };
const slowly = (answer: () => void) => void setTimeout(answer, 5 + random() * 20);

async function http(): Promise<number> {
  const server = createServer((_req, res) => {
    res.write('a');
    slowly(() => res.end('b'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({ close: () => (server.closeAllConnections(), server.close()) });
  return (server.address() as AddressInfo).port;
}

async function calls(): Promise<number> {
  const server = new grpc.Server();
  server.addService({ echo: method }, { echo: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => slowly(() => done(null, call.request)) });
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  open.push({ close: () => server.forceShutdown() });
  return port;
}

/** Another half of the ports after every few requests, in another order. */
async function churn(mesh: HandMadeMesh, ports: readonly number[], once: () => Promise<unknown>): Promise<void> {
  const cluster = mesh.clusters.get('echo')!;
  const running: Promise<unknown>[] = [];
  for (let round = 0; round < 60; round++) {
    const kept = ports.toSorted(() => random() - 0.5).slice(0, 2);
    cluster.setEndpoints({
      clusterName: cluster.name, drops: [], overprovisioningFactor: 140,
      localities: [{ region: '', zone: '', subZone: '', weight: 1, priority: 0, endpoints: kept.map((port) => ({ address: '127.0.0.1', port, hostname: '', weight: 1 + (round % 3), health: 'healthy' as const, metadata: {}, identityMissing: false })) }],
    });
    for (let i = 0; i < 4; i++) running.push(once());
    await new Promise((resolve) => setImmediate(resolve));
    if (round % 10 === 9) await Promise.all(running.splice(0));
  }
  await Promise.all(running);
}

const policies = ['round_robin', 'least_request', 'ring_hash', 'maglev', 'pick_first', 'client_side_weighted_round_robin', 'peak_ewma'].map((name) => builtinLoadBalancers.find((factory) => factory.name.endsWith(`.${name}`))!);
const balancing = (factory: (typeof policies)[number]) => ({ policy: factory.name, config: { localityWeighted: false, ...(factory.parse(new Uint8Array()) as object) } });

it.each(policies)('$name: every request is answered', async (factory) => {
  const ports = await Promise.all([http(), http(), http(), http()]);
  const mesh = new HandMadeMesh().add('echo', { ports, cluster: { loadBalancing: balancing(factory) } });
  open.push(mesh);
  await churn(mesh, ports, async () => {
    const { statusCode, body } = await mesh.client.request('http://echo/');
    expect([statusCode, await body.text()], `seed ${seed}`).toEqual([200, 'ab']);
  });
});

it.each(policies.slice(0, 4))('$name: every call is answered', async (factory) => {
  const ports = await Promise.all([calls(), calls(), calls(), calls()]);
  const mesh = new HandMadeMesh().add('echo', { ports, cluster: { protocol: 'http2', loadBalancing: balancing(factory) } });
  open.push(mesh);
  const client = new grpc.Client('xds:///echo', grpc.credentials.createInsecure(), mesh.client.grpc() as grpc.ChannelOptions);
  open.push(client);
  await churn(mesh, ports, () => new Promise<void>((resolve, reject) => client.makeUnaryRequest(method.path, bytes, bytes, Buffer.from('x'), (error) => (error ? reject(new Error(`seed ${seed}`, { cause: error })) : resolve()))));
});
