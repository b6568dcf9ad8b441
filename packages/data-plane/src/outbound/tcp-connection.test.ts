import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FakeClock } from '@weft/spiffe/testing';
import { afterEach, expect, test } from 'vitest';
import type { TcpProxyConfig } from '../resource/tcp-proxy.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { TcpTransport } from '../transport/tcp-transport.js';
import { cluster, clusterContext, endpoint, endpoints, limits, locality } from '../upstream/test-support.js';
import { connectTcp } from './tcp-connection.js';

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function server(): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const made: Server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}));
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    made.close();
  });
  return { port: (made.address() as AddressInfo).port, sockets };
}

const defaults: TcpProxyConfig = { clusters: [{ name: 'c', weight: 1 }], totalWeight: 1, idleTimeoutMs: 0, maxConnectAttempts: 1, hashesSource: false };

function dialling(ports: readonly number[], { proxy = {}, config = {}, random = 0, clusters = 1 }: { proxy?: Partial<TcpProxyConfig>; config?: Parameters<typeof cluster>[0]; random?: number; clusters?: number } = {}) {
  const clock = new FakeClock(0);
  const made = Array.from({ length: clusters }, () => cluster(config, endpoints([locality(ports.map((port) => endpoint('127.0.0.1', { port })))]), clusterContext({ clock } as never)));
  const infos: StreamInfo[] = [];
  const over: StreamInfo[] = [];
  const services = {
    clock, random: () => random, sourceAddress: '10.0.0.1',
    telemetry: { start: () => undefined, end: () => undefined, connection: (info: StreamInfo, read: () => void) => {
      infos.push(info);
      return () => {
        read();
        over.push(info);
      };
    } },
  };
  const names = ['c', 'd'];
  const snapshot = { name: 'db:5432', chains: [{ serverNames: [], proxy: { ...defaults, ...proxy } }], clusters: new Map(made.map((item, i) => [names[i]!, item])), missing: new Map() };
  const transport = new TcpTransport({ tls: undefined });
  const connect = async (options: { serverName?: string; signal?: AbortSignal } = {}) => {
    const socket = await connectTcp(services, snapshot, { transport, ...options });
    cleanups.push(() => socket.destroy());
    return socket;
  };
  return { clock, made, infos, over, connect, snapshot };
}

async function closedPort(): Promise<number> {
  const made = createServer();
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  const { port } = made.address() as AddressInfo;
  await new Promise((resolve) => made.close(resolve));
  return port;
}

test('the connection counts until it is closed, and its bytes are known then', async () => {
  const { port } = await server();
  const { connect, made, infos, over } = dialling([port]);
  const socket = await connect();
  expect(made[0]!.hosts[0]!.activeRequests).toBe(1);
  socket.write('hello');
  await once(socket, 'data');
  socket.destroy();
  await once(socket, 'close');
  expect(made[0]!.hosts[0]!.activeRequests).toBe(0);
  expect([infos.length, over[0]]).toMatchObject([1, { protocol: 'tcp', clusterName: 'c', bytesSent: 5, bytesReceived: 5, flags: [] }]);
});

test('max_connections counts connections only, from before they are made', async () => {
  const { port } = await server();
  const { connect, over } = dialling([port], { config: { thresholds: limits({ maxConnections: 1, maxRequests: 0, maxPendingRequests: 0 }) } });
  const [first, second] = await Promise.allSettled([connect(), connect()]);
  expect([first.status, second]).toMatchObject(['fulfilled', { reason: { code: 'WEFT_OVERFLOW', flag: 'UO' } }]);
  expect(over[0]!.flags).toEqual(['UO']);
  (first as PromiseFulfilledResult<Socket>).value.destroy();
  await once((first as PromiseFulfilledResult<Socket>).value, 'close');
  await connect();
});

test('a failure to connect is tried again as often as max_connect_attempts says, and ejects the host', async () => {
  const { port } = await server();
  const bad = await closedPort();
  const once1 = dialling([bad], { config: { outlierDetection: { consecutive5xx: 1, alwaysEjectOneHost: true } } });
  await expect(once1.connect()).rejects.toMatchObject({ code: 'WEFT_CONNECT_FAILED', flag: 'UF' });
  expect(once1.over[0]!.flags).toEqual(['UF', 'URX']);
  expect(once1.made[0]!.hosts[0]).toMatchObject({ ejected: true, activeRequests: 0 });
  const twice = dialling([bad, port], { proxy: { maxConnectAttempts: 2 } });
  for (let i = 0; i < 2; i++) await twice.connect();
  expect(Math.max(...twice.infos.map(({ attempts }) => attempts))).toBe(2);
});

test('weights choose the cluster, a server name its chain', async () => {
  const { port } = await server();
  const clusters = [{ name: 'c', weight: 1 }, { name: 'd', weight: 3 }];
  for (const [random, name] of [[0, 'c'], [0.24, 'c'], [0.25, 'd'], [0.99, 'd']] as const) {
    const { connect, infos } = dialling([port], { proxy: { clusters, totalWeight: 4 }, random, clusters: 2 });
    await connect();
    expect(infos[0]!.clusterName).toBe(name);
  }
  const { connect, snapshot } = dialling([port]);
  snapshot.chains = [{ serverNames: ['a.test'] as never, proxy: defaults }];
  await connect({ serverName: 'A.test' });
  await expect(connect({ serverName: 'b.test' })).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST', flag: 'NR' });
});

test('silence and age end a connection', async () => {
  const { port } = await server();
  const idle = dialling([port], { proxy: { idleTimeoutMs: 4000 } });
  const socket = await idle.connect();
  for (let i = 0; i < 3; i++) {
    socket.write('x');
    await once(socket, 'data');
    idle.clock.advance(3000);
  }
  expect(socket.destroyed).toBe(false);
  idle.clock.advance(3000);
  await once(socket, 'close');
  expect(idle.over[0]!.flags).toEqual(['SI']);
  const old = dialling([port], { proxy: { maxConnectionMs: 1000 } });
  const aged = await old.connect();
  old.clock.advance(1000);
  await once(aged, 'close');
  expect(old.over[0]!.flags).toEqual(['DT']);
});

test('nothing to connect to, and a caller who gives up', async () => {
  await expect(dialling([]).connect()).rejects.toMatchObject({ code: 'WEFT_NO_HEALTHY_UPSTREAM', flag: 'UH' });
  await expect(dialling([], { proxy: { clusters: [{ name: 'gone', weight: 1 }] } }).connect()).rejects.toMatchObject({ code: 'WEFT_NO_CONFIG' });
  const { port } = await server();
  const { connect, made } = dialling([port]);
  const controller = new AbortController();
  const connecting = connect({ signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(connecting).rejects.toThrow('enough');
  expect(made[0]!.hosts[0]!.activeRequests).toBe(0);
});
