// Requests that go wherever their authority says, through both adapters.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { credentials, makeGenericClientConstructor, type Client } from '@grpc/grpc-js';
import { systemClock } from '@weft/spiffe';
import { afterEach, expect, test } from 'vitest';
import { dynamicForwardProxyFilter } from '../../data-plane/src/filter/http/dynamic-forward-proxy.js';
import type { DnsCacheConfig } from '../../data-plane/src/resource/cluster-config.js';
import { dynamicForwardProxy } from '../../data-plane/src/upstream/cluster-type/dynamic-forward-proxy.js';
import type { ClusterTypeContext } from '../../data-plane/src/upstream/cluster-type/cluster-type.js';
import { DnsCaches } from '../../data-plane/src/upstream/dns/dns-cache.js';
import { forwardProxyGuard } from '../../data-plane/src/upstream/dns/forward-proxy-guard.js';
import { echoServer, echoService } from '../test-support/grpc-echo.js';
import { HandMadeMesh, route, silent } from '../test-support/hand-made-mesh.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const cache: DnsCacheConfig = { name: 'dns', dns: { family: 'v4-only', respectTtl: false, refreshMs: 60_000 }, hostTtlMs: 300_000, maxHosts: 1024, maxPending: 1024, queryTimeoutMs: 5000, preresolve: [] };

/** `names` by address; every one may be dialled that is in `allow`. */
function mesh(names: Record<string, string[]>, { allow = ['127.0.0.0/8'], override }: { allow?: string[]; override?: { literal?: string; header?: string } } = {}): HandMadeMesh {
  const lookup = (name: string) => (names[name] ? Promise.resolve({ addresses: names[name] }) : Promise.reject(new Error(`${name} is not known`)));
  const dnsCaches = new DnsCaches({ clock: systemClock, random: Math.random, lookup, logger: silent, guard: forwardProxyGuard(allow) });
  const made = new HandMadeMesh({ filterContext: { dnsCaches } });
  const filters = [{ name: 'dfp', factory: dynamicForwardProxyFilter, config: { cache }, disabled: false }];
  made.add('proxy', { ports: [], cluster: { type: { kind: 'dynamic-forward-proxy', cache } }, filters, routes: [{ ...route({ cluster: 'outbound|80||proxy' }), filterOverrides: new Map(override ? [['dfp', override]] : []) }] });
  const cluster = made.clusters.get('proxy')!;
  const source = dynamicForwardProxy.start(cluster.config, { onEndpoints: (endpoints) => cluster.setEndpoints(endpoints), onError: () => undefined }, { dnsCaches } as ClusterTypeContext);
  cleanups.push(() => { source.close(); dnsCaches.close(); return made.close(); });
  return made;
}

async function server(): Promise<{ port: number; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = [];
  const started = createServer((request, response) => {
    seen.push(request);
    response.end('here');
  });
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => started.closeAllConnections());
  cleanups.push(() => started.close());
  return { port: (started.address() as AddressInfo).port, seen };
}

const get = (made: HandMadeMesh, host: string, headers: Record<string, string> = {}) => made.client.request('http://proxy/', { headers: { host, ...headers } });

test('HTTP goes to the address of the name in the request, two names of one address to hosts of their own', async () => {
  const { port, seen } = await server();
  const made = mesh({ 'a.example': ['127.0.0.1'], 'b.example': ['127.0.0.1'] });
  for (const name of ['a.example', 'B.example', 'a.example']) {
    const { statusCode, body } = await get(made, `${name}:${port}`);
    expect([statusCode, await body.text()]).toEqual([200, 'here']);
  }
  expect(seen.map(({ headers }) => headers.host)).toEqual([`a.example:${port}`, `B.example:${port}`, `a.example:${port}`]);
  expect(made.clusters.get('proxy')!.hosts.map(({ config, key }) => [config.logicalName, key])).toEqual([[`a.example:${port}`, `127.0.0.1:${port}`], [`b.example:${port}`, `127.0.0.1:${port}`]]);
});

test('a name that cannot be resolved, or leads into the process\'s own network, is answered with 503 and DF', async () => {
  const { port, seen } = await server();
  const made = mesh({ 'metadata.example': ['169.254.169.254'], 'inside.example': ['127.0.0.1'] }, { allow: [] });
  for (const [name, reason] of [['nowhere.example', 'nowhere.example is not known'], ['metadata.example', 'is not a public address'], ['inside.example', 'is not a public address'], ['127.0.0.1', 'is not a public address'], ['[::ffff:127.0.0.1]', 'is not a public address']] as const) {
    const { statusCode, body } = await get(made, `${name}:${port}`);
    expect([name, statusCode, await body.text()]).toEqual([name, 503, expect.stringContaining(reason)]);
  }
  expect(made.ended.map(({ flags, responseCodeDetails }) => [...flags, responseCodeDetails])).toEqual(Array.from({ length: 5 }, () => ['DF', 'dns_resolution_failure']));
  expect(seen).toEqual([]);
});

test('a route may name the host itself, or the header that does', async () => {
  const { port, seen } = await server();
  const names = { 'a.example': ['127.0.0.1'] };
  await (await get(mesh(names, { override: { literal: `a.example:${port}` } }), 'x.example')).body.text();
  await (await get(mesh(names, { override: { header: 'x-to' } }), 'x.example', { 'x-to': `a.example:${port}` })).body.text();
  expect(seen.map(({ headers }) => headers.host)).toEqual([`a.example:${port}`, `a.example:${port}`]);
});

test('gRPC goes there too', async () => {
  const echo = await echoServer();
  cleanups.push(() => echo.close());
  const made = mesh({ 'a.example': ['127.0.0.1'] }, { override: { literal: `a.example:${echo.port}` } });
  const EchoClient = makeGenericClientConstructor(echoService, 'Echo');
  const client = new EchoClient('xds:///proxy:80', credentials.createInsecure(), made.client.grpc()) as unknown as Client & { Unary(message: Buffer, done: (error: Error | null, answer: Buffer) => void): void };
  cleanups.push(() => client.close());
  expect(await new Promise((resolve, reject) => client.Unary(Buffer.from('hello'), (error, answer) => (error ? reject(error) : resolve(String(answer)))))).toBe('hello');
});
