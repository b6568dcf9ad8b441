import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import * as grpcJs from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GrpcTransport } from '../transport/grpc-transport.js';
import { HttpTransport } from '../transport/http-transport.js';
import type { Cluster } from '../upstream/cluster.js';
import { ClusterManager } from '../upstream/cluster-manager.js';
import { clusterConfig, clusterContext, endpoint, endpoints, FakeXds, limits, locality, resourceType } from '../upstream/test-support.js';
import { HeaderMap } from '../stream/header-map.js';
import { ClusterCaller } from './cluster-caller.js';

const closing: (() => unknown)[] = [];
let xds: FakeXds;
let clock: ReturnType<typeof clusterContext>['clock'];
let caller: ClusterCaller;
let clusters: ClusterManager;

beforeEach(() => {
  const context = clusterContext();
  clock = context.clock;
  xds = new FakeXds();
  clusters = new ClusterManager({ xds, clusterType: resourceType('cluster'), endpointType: resourceType('endpoints'), ...context });
  const http = new HttpTransport({ tls: undefined });
  const grpc = new GrpcTransport({ tls: undefined });
  caller = new ClusterCaller({ clusters, http, grpc, clock });
  closing.push(() => grpc.close(), () => http.close(), () => clusters.close());
});

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

function appear(port: number, more: Parameters<typeof clusterConfig>[0] = {}): void {
  xds.send('cluster/c', clusterConfig(more));
  xds.send('endpoints/c', endpoints([locality([endpoint('127.0.0.1', { port })])]));
}

async function httpServer(answer: (path: string, headers: Record<string, unknown>) => { status: number; body: string } | undefined): Promise<number> {
  const server = createServer((request, response) => {
    const reply = answer(request.url ?? '', request.headers);
    if (reply) response.writeHead(reply.status, { 'x-reply': '1' }).end(reply.body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => { server.closeAllConnections(); server.close(); });
  return (server.address() as AddressInfo).port;
}

async function grpcServer(answer: (message: Buffer, metadata: grpcJs.Metadata) => Buffer | number | undefined): Promise<number> {
  const server = new grpcJs.Server();
  const bytes = (value: Buffer) => value;
  server.addService({ Call: { path: '/test.Test/Call', requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } }, {
    Call(call: grpcJs.ServerUnaryCall<Buffer, Buffer>, reply: grpcJs.sendUnaryData<Buffer>) {
      const made = answer(call.request, call.metadata);
      if (typeof made === 'number') reply({ code: made, details: 'told so' });
      else if (made) reply(null, made);
    },
  });
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', grpcJs.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  closing.push(() => server.forceShutdown());
  return port;
}

const call = (options: { signal?: AbortSignal; headers?: HeaderMap } = {}) => caller.unary('c', '/test.Test/Call', Buffer.from('ping'), { timeoutMs: 5000, ...options });
const get = (more: { maxBytes?: number; signal?: AbortSignal } = {}) => caller.fetch('c', { method: 'GET', authority: 'keys.test', path: '/keys?a=1', ...more }, { timeoutMs: 5000, ...(more.signal && { signal: more.signal }) });
const only = () => (clusters.acquire('c').cluster as Cluster).hosts[0]!;

describe('calls to a cluster', () => {
  it('gRPC: wait for the cluster, send message and metadata, and resolve with the answer', async () => {
    const port = await grpcServer((message, metadata) => Buffer.from(`${message.toString()} ${String(metadata.get('x-a')[0])}`));
    const release = caller.hold('c');
    const running = call({ headers: HeaderMap.from({ 'x-a': 'b' }) });
    appear(port);
    expect(Buffer.from(await running).toString()).toBe('ping b');
    expect([only().activeRequests, clock.pending]).toEqual([0, 0]);
    expect([caller.membership('c'), caller.membership('other')]).toEqual([{ total: 1, healthy: 1 }, undefined]);
    release();
  });

  it('gRPC: a status is an error with that status', async () => {
    const release = caller.hold('c');
    appear(await grpcServer(() => 7));
    await expect(call()).rejects.toMatchObject({ name: 'ClusterCallError', grpcStatus: 7, message: 'told so' });
    release();
  });

  it('HTTP: any response is one, with its body', async () => {
    const release = caller.hold('c');
    appear(await httpServer((path, headers) => ({ status: 404, body: `${path} ${String(headers['host'])}` })));
    const response = await get();
    expect([response.status, Buffer.from(response.body).toString(), response.headers.get('x-reply')]).toEqual([404, '/keys?a=1 keys.test', '1']);
    release();
  });

  it('HTTP: a body that is too long fails the call', async () => {
    const release = caller.hold('c');
    appear(await httpServer(() => ({ status: 200, body: 'x'.repeat(2000) })));
    await expect(get({ maxBytes: 1000 })).rejects.toMatchObject({ grpcStatus: 8 });
    release();
  });

  it.each(['grpc', 'http'] as const)('%s: end at their timeout, and leave nothing running', async (protocol) => {
    const asked = Promise.withResolvers<void>();
    const release = caller.hold('c');
    appear(protocol === 'grpc' ? await grpcServer(() => void asked.resolve()) : await httpServer(() => void asked.resolve()));
    const running = protocol === 'grpc' ? call() : get();
    await asked.promise;
    expect(only().activeRequests).toBe(1);
    clock.advance(5000);
    await expect(running).rejects.toMatchObject({ grpcStatus: 4 });
    expect(only().activeRequests).toBe(0);
    release();
  });

  it.each(['grpc', 'http'] as const)('%s: are cancelled with their signal', async (protocol) => {
    const asked = Promise.withResolvers<void>();
    const release = caller.hold('c');
    appear(protocol === 'grpc' ? await grpcServer(() => void asked.resolve()) : await httpServer(() => void asked.resolve()));
    const controller = new AbortController();
    const running = protocol === 'grpc' ? call({ signal: controller.signal }) : get({ signal: controller.signal });
    await asked.promise;
    controller.abort();
    await expect(running).rejects.toMatchObject({ grpcStatus: 1 });
    expect([only().activeRequests, clock.pending]).toEqual([0, 0]);
    release();
  });

  it('fail where there is no cluster, no host or no connection, and at the limit of the cluster', async () => {
    const release = caller.hold('c');
    const pending = call();
    xds.watcher('cluster/c').onAbsent(new Error('no such cluster'));
    await expect(pending).rejects.toMatchObject({ grpcStatus: 14, message: 'no such cluster' });
    xds.send('cluster/c', clusterConfig());
    xds.send('endpoints/c', endpoints([]));
    await expect(call()).rejects.toMatchObject({ grpcStatus: 14 });
    const unused = await httpServer(() => undefined);
    await closing.pop()!();
    xds.send('endpoints/c', endpoints([locality([endpoint('127.0.0.1', { port: unused })])]));
    await expect(call()).rejects.toMatchObject({ grpcStatus: 14 });
    await expect(get()).rejects.toMatchObject({ grpcStatus: 14 });
    xds.send('cluster/c', clusterConfig({ thresholds: limits({ maxRequests: 0 }) }));
    await expect(get()).rejects.toMatchObject({ grpcStatus: 14, message: /overflow/ });
    release();
  });

  it('an aborted signal sends nothing', async () => {
    await expect(call({ signal: AbortSignal.abort() })).rejects.toMatchObject({ grpcStatus: 1 });
    expect(clusters.names).toEqual([]);
  });
});
