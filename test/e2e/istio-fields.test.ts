// What Istio's kinds ask for, seen from outside: delegates, redirects to the port of the request, CORS by the server of the host, wildcard hosts, breakers, zones.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { request } from 'undici';
import type * as Dns from 'node:dns/promises';
import { groupYaml, serviceYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

/** Names that no resolver of this machine knows. */
vi.mock('node:dns/promises', async (original) => {
  const dns = await original<typeof Dns>();
  const lookup = (name: string, options: object) => (name.endsWith('.wild.test') ? Promise.resolve([{ address: '127.0.0.1', family: 4 }]) : dns.lookup(name, options));
  return { ...dns, lookup };
});

const wildcard = (port: number) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: wild }
spec: { hosts: ["*.wild.test"], location: MESH_EXTERNAL, resolution: DYNAMIC_DNS, ports: [{ number: ${port}, name: http, protocol: HTTP }] }
`;

const rules = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: target }
spec:
  hosts: [target]
  http:
    - match: [{ uri: { prefix: /team/ } }]
      headers: { request: { set: { x-root: "1" } } }
      delegate: { name: team, namespace: teams }
    - match: [{ uri: { exact: /moved } }]
      redirect: { authority: elsewhere.test, derivePort: FROM_REQUEST_PORT, uri: /here }
    - match: [{ uri: { prefix: /public/ } }]
      corsPolicy: { allowOrigins: [{ exact: "https://shop.test" }], allowMethods: [GET, PUT], maxAge: 1h }
      route: [{ destination: { host: target } }]
    - route: [{ destination: { host: target } }]
`;
const team = (path: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: team, namespace: teams }
spec:
  http:
    - match: [{ uri: { prefix: /team/a } }]
      rewrite: { uri: ${path} }
      route: [{ destination: { host: target.default.svc.cluster.local } }]
`;

let mesh: TestMesh;
let caller: TestWorkload;
let port: number;

beforeAll(async () => {
  mesh = await TestMesh.start({ 'services.yaml': `${serviceYaml('target')}${groupYaml('caller', 'caller')}`, 'routes.yaml': rules, 'team.yaml': team('/first') });
  const target = await mesh.workload('target');
  const app = createServer((incoming, response) => response.writeHead(incoming.url === '/fail' ? 500 : 200).end(JSON.stringify({ url: incoming.url, root: incoming.headers['x-root'] })));
  ({ port } = await target.server.listen(app, { port: 0, host: '127.0.0.1' }));
  caller = await mesh.workload('caller');
});

afterAll(() => mesh?.close());

const ask = async (path: string) => {
  const { statusCode, headers, body } = await caller.client.request(`http://target${path}`);
  const text = await body.text();
  return { status: statusCode, location: headers['location'], ...(text.startsWith('{') && (JSON.parse(text) as { url: string; root?: string })) };
};

it('takes up the routes of a delegate in another namespace, and their changes', async () => {
  await vi.waitFor(async () => expect(await ask('/team/a')).toMatchObject({ status: 200, url: '/first', root: '1' }), { timeout: 10_000 });
  expect(await ask('/team/b')).toMatchObject({ status: 200, url: '/team/b' });
  mesh.config.write('team.yaml', team('/second'));
  await vi.waitFor(async () => expect(await ask('/team/a')).toMatchObject({ url: '/second' }), { timeout: 10_000 });
});

it('redirects to the port that was dialled', async () => {
  expect(await ask('/moved')).toMatchObject({ status: 301, location: 'http://elsewhere.test/here' });
});

it('lets a server answer browsers as its host’s rule says, and only where it says so', async () => {
  const preflight = async (path: string, origin: string) => {
    const { statusCode, headers, body } = await request(`http://127.0.0.1:${port}${path}`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PUT' } });
    return { status: statusCode, origin: headers['access-control-allow-origin'], methods: headers['access-control-allow-methods'], age: headers['access-control-max-age'], body: await body.text() };
  };
  expect(await preflight('/public/x', 'https://shop.test')).toEqual({ status: 200, origin: 'https://shop.test', methods: 'GET,PUT', age: '3600', body: '' });
  expect(await preflight('/public/x', 'https://evil.test')).toMatchObject({ origin: undefined, body: expect.stringContaining('/public/x') as string });
  expect(await preflight('/private', 'https://shop.test')).toMatchObject({ origin: undefined, body: expect.stringContaining('/private') as string });
  const { headers, body } = await request(`http://127.0.0.1:${port}/public/x`, { headers: { origin: 'https://shop.test' } });
  expect([headers['access-control-allow-origin'], (JSON.parse(await body.text()) as { url: string }).url]).toEqual(['https://shop.test', '/public/x']);
});

it('resolves names under a wildcard host as requests come, within what the process may dial', async () => {
  const outside = createServer((incoming, response) => response.end(incoming.headers.host)).listen(0, '127.0.0.1');
  await once(outside, 'listening');
  const outsidePort = (outside.address() as AddressInfo).port;
  mesh.config.write('wild.yaml', wildcard(outsidePort));
  const guarded = caller;
  const allowed = await mesh.workload('caller', 'caller', { forwardProxyAllow: ['127.0.0.0/8'] });
  try {
    const get = async (from: TestWorkload, name: string) => {
      const { statusCode, body } = await from.client.request(`http://${name}.wild.test:${outsidePort}/`);
      return [statusCode, await body.text()];
    };
    await vi.waitFor(async () => expect(await get(allowed, 'a')).toEqual([200, `a.wild.test:${outsidePort}`]), { timeout: 10_000 });
    expect(await get(allowed, 'b')).toEqual([200, `b.wild.test:${outsidePort}`]);
    expect((await get(guarded, 'a'))[0]).toBe(503);
    // A single name without resolution: looked up as the application would, with the rules of the mesh.
    mesh.config.write('wild.yaml', `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: single }
spec: { hosts: [single.wild.test], ports: [{ number: ${outsidePort}, name: http, protocol: HTTP }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: single }
spec: { hosts: [single.wild.test], http: [{ rewrite: { authority: rewritten.test }, route: [{ destination: { host: single.wild.test } }] }] }
`);
    await vi.waitFor(async () => expect(await get(guarded, 'single')).toEqual([200, 'rewritten.test']), { timeout: 10_000 });
  } finally {
    outside.closeAllConnections();
    outside.close();
  }
});

it('opens the breaker that a DestinationRule gives a host', async () => {
  const breaker = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: target }
spec: { host: target, trafficPolicy: { breakers: { errorRate: { errorThresholdPercent: 50, volumeThreshold: 5, resetTimeout: 1h } } } }
`;
  mesh.config.write('breaker.yaml', breaker);
  const fail = async () => {
    const { statusCode, headers, body } = await caller.client.request('http://target/fail');
    await body.dump();
    return [statusCode, headers['x-envoy-overloaded']];
  };
  await vi.waitFor(async () => expect(await fail()).toEqual([503, 'true']), { timeout: 10_000, interval: 5 });
  mesh.config.write('breaker.yaml', '# none\n');
  await vi.waitFor(async () => expect(await fail()).toEqual([500, undefined]), { timeout: 10_000, interval: 5 });
});

it('balances by zone where a DestinationRule asks for it and the client knows whose host it is', async () => {
  const backends = await Promise.all(['a', 'b'].map(async (zone) => {
    const server = createServer((_incoming, response) => response.end(zone)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }));
  const ports = backends.map((server) => (server.address() as AddressInfo).port);
  const entry = (name: string, [a, b]: readonly number[]) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.test]
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${a} }, locality: eu/a }, { address: 127.0.0.1, ports: { http: ${b} }, locality: eu/b }]
---
`;
  const rule = (setting: string) => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: zoned }
spec: { host: zoned.test, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN, zoneAwareLbSetting: ${setting} } } }
`;
  mesh.config.write('zones.yaml', entry('zoned', ports) + entry('callers', [1, 2]) + rule('{ minClusterSize: 2 }'));
  const local = await mesh.workload('caller', 'caller', { localClusterName: 'outbound|80||callers.test', locality: { region: 'eu', zone: 'a' } });
  const zones = async () => {
    const seen: string[] = [];
    for (let i = 0; i < 12; i++) seen.push(await (await local.client.request('http://zoned.test/')).body.text());
    return [...new Set(seen)].sort();
  };
  try {
    await vi.waitFor(async () => expect(await zones()).toEqual(['a']), { timeout: 10_000 });
    mesh.config.write('zones.yaml', entry('zoned', ports) + entry('callers', [1, 2]) + rule('{ enabled: false, minClusterSize: 2 }'));
    await vi.waitFor(async () => expect(await zones()).toEqual(['a', 'b']), { timeout: 10_000 });
  } finally {
    for (const server of backends) {
      server.closeAllConnections();
      server.close();
    }
  }
});
