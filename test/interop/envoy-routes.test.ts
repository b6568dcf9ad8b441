// What VirtualServices, DestinationRules and ServiceEntries ask for, done by a real Envoy.
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { request } from 'undici';
import { startMesh, type Mesh } from '@weft/cli';
import { peers } from '../../scripts/peers.mjs';
import { ConfigFolder } from '../support/config-folder.js';
import { httpEcho, type Backend } from '../support/echo-servers.js';
import { startEnvoy, type EnvoyProcess } from '../support/envoy-process.js';
import { freePort } from '../support/free-port.js';

const { envoy } = peers();
const host = 'shop.test.internal';

const routes = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [${host}]
  http:
    - match: [{ uri: { prefix: /old/ } }]
      rewrite: { uri: /new/, authority: other.test }
      headers: { request: { set: { x-set: one }, add: { x-add: two }, remove: [x-secret] }, response: { set: { x-answer: three }, remove: [x-hidden] } }
      route: [{ destination: { host: ${host}, subset: a } }]
    - match: [{ uri: { regex: '/users/[0-9]+' } }]
      rewrite: { uriRegexRewrite: { match: '^/users/([0-9]+)$', rewrite: '/people/\\1' } }
      route: [{ destination: { host: ${host}, subset: a } }]
    - match: [{ uri: { exact: /teapot } }]
      directResponse: { status: 418, body: { string: short and stout } }
    - match: [{ uri: { exact: /large } }]
      directResponse: { status: 200, body: { string: '${'x'.repeat(6000)}' } }
    - match: [{ uri: { prefix: /moved } }]
      redirect: { uri: /here, authority: elsewhere.test, scheme: https, redirectCode: 308 }
    - match: [{ uri: { exact: /same-port } }]
      redirect: { authority: elsewhere.test, derivePort: FROM_REQUEST_PORT }
    - match: [{ uri: { prefix: /team/ } }]
      delegate: { name: team }
    - match: [{ uri: { prefix: /abort } }]
      fault: { abort: { httpStatus: 599, percentage: { value: 100 } } }
      route: [{ destination: { host: ${host}, subset: a } }]
    - match: [{ uri: { prefix: /delay } }]
      fault: { delay: { fixedDelay: 300ms, percentage: { value: 100 } } }
      route: [{ destination: { host: ${host}, subset: a } }]
    - match: [{ uri: { prefix: /silent } }]
      timeout: 200ms
      retries: { attempts: 0 }
      rewrite: { uri: /hold }
      route: [{ destination: { host: narrow.test.internal } }]
    - match: [{ uri: { prefix: /mirror } }]
      mirrors: [{ destination: { host: ${host}, subset: b } }]
      route: [{ destination: { host: ${host}, subset: a } }]
    - match: [{ uri: { prefix: /nowhere } }]
      route: [{ destination: { host: ${host}, subset: none } }]
    - match: [{ uri: { prefix: /query }, queryParams: { v: { regex: 'b+' } }, withoutHeaders: { x-no: {} } }]
      route: [{ destination: { host: ${host}, subset: b } }]
    - route: [{ destination: { host: ${host} } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: team }
spec:
  http:
    - match: [{ uri: { prefix: /team/a } }]
      rewrite: { uri: /delegated }
      route: [{ destination: { host: ${host} } }]
    - match: [{ uri: { prefix: /outside } }]
      directResponse: { status: 418 }
`;

function services(port: number, a: readonly Backend[], b: readonly Backend[], single: number): string {
  const endpoint = (version: string) => ({ port: backend }: Backend) => `    - { address: 127.0.0.1, ports: { main: ${backend} }, labels: { version: ${version} } }`;
  const entry = (name: string, resolution: string, endpoints: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.test.internal]
  location: MESH_INTERNAL
  resolution: ${resolution}
  ports: [{ number: ${port}, name: main, protocol: HTTP }]
  endpoints:
${endpoints}
`;
  const dns = `    - { address: localhost, ports: { main: ${a[0]!.port} } }`;
  const slow = `    - { address: 127.0.0.1, ports: { main: ${single} } }`;
  const rule = (name: string, policy: string) => `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: ${name} }\nspec:\n  host: ${name}.test.internal\n  trafficPolicy: ${policy}\n`;
  return [
    entry('shop', 'STATIC', [...a.map(endpoint('a')), ...b.map(endpoint('b'))].join('\n')),
    `${rule('shop', '{ loadBalancer: { consistentHash: { httpHeaderName: x-user } } }')}  subsets: [{ name: a, labels: { version: a } }, { name: b, labels: { version: b } }]\n`,
    entry('strict', 'DNS', dns),
    entry('logical', 'DNS_ROUND_ROBIN', dns),
    entry('sticky', 'STATIC', [...a.map(endpoint('a')), ...b.map(endpoint('b'))].join('\n')),
    rule('sticky', '{ loadBalancer: { consistentHash: { httpCookie: { name: stick, path: /, ttl: 1h, attributes: [{ name: SameSite, value: Lax }] } } } }'),
    `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: wild }\nspec: { hosts: ['*.localhost'], resolution: DYNAMIC_DNS, ports: [{ number: ${port}, name: main, protocol: HTTP }] }\n`,
    entry('warm', 'STATIC', a.map(endpoint('a')).join('\n')),
    rule('warm', '{ loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 1s, minimumPercent: 20, aggression: 1.5 }, zoneAwareLbSetting: { minClusterSize: 2 } } }'),
    entry('narrow', 'STATIC', slow),
    rule('narrow', '{ connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } } }'),
    entry('fragile', 'STATIC', [slow, dns.replace('localhost', '127.0.0.1')].join('\n')),
    rule('fragile', '{ outlierDetection: { consecutive5xxErrors: 1, interval: 100ms, baseEjectionTime: 60s, maxEjectionPercent: 100 } }'),
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: fragile }\nspec: { hosts: [fragile.test.internal], http: [{ retries: { attempts: 0 }, route: [{ destination: { host: fragile.test.internal } }] }] }\n',
  ].join('---\n');
}

describe.skipIf(envoy.missing !== undefined)(`Envoy 1.40 does what the configuration asks${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  let folder: ConfigFolder;
  let mesh: Mesh;
  let peer: EnvoyProcess;
  let a: Backend[];
  let b: Backend[];
  let port: number;
  /** Answers when it is told to, and with 500 where the path says so. */
  let held: Server;
  let release: (() => void)[] = [];

  beforeAll(async () => {
    a = [await httpEcho('a-1'), await httpEcho('a-2')];
    b = [await httpEcho('b-1')];
    held = createServer((incoming, response) => {
      if (incoming.url === '/hold') release.push(() => response.end('held'));
      else response.writeHead(500).end();
    }).listen(0, '127.0.0.1');
    await once(held, 'listening');
    port = await freePort();
    folder = new ConfigFolder({ 'services.yaml': services(port - 5000, a, b, (held.address() as AddressInfo).port), 'routes.yaml': routes });
    mesh = await startMesh({ config: [folder.path], xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
    expect(mesh.problems().filter(({ severity }) => severity === 'error')).toEqual([]);
    peer = await startEnvoy(envoy.path as string, mesh.xds, 5000);
    await vi.waitFor(async () => expect((await ask('/')).status).toBe(200), { timeout: 20_000, interval: 50 });
  });

  afterAll(async () => {
    await peer?.close();
    await mesh?.close();
    release.forEach((answer) => answer());
    held.closeAllConnections();
    held.close();
    await Promise.all([...a, ...b].map((backend) => backend.close()));
    folder?.remove();
  });

  async function ask(path: string, { to = host, headers = {} }: { to?: string; headers?: Record<string, string> } = {}) {
    const response = await request(`http://127.0.0.1:${port}${path}`, { headers: { host: to, ...headers } });
    const text = await response.body.text();
    const json = text.startsWith('{') ? (JSON.parse(text) as { instance: string; path: string; headers: Record<string, string> }) : undefined;
    return { status: response.statusCode, headers: response.headers, text, ...json && { instance: json.instance, path: json.path, sent: json.headers } };
  }

  it('rewrites path and authority, and edits headers both ways', async () => {
    const { status, path, sent, headers } = await ask('/old/x?q=1', { headers: { 'x-secret': 's', 'x-set': 'zero', 'x-add': 'one' } });
    expect([status, path, sent?.['host'], sent?.['x-set'], sent?.['x-add']?.replaceAll(' ', ''), sent?.['x-secret'], headers['x-answer']]).toEqual([200, '/new/x?q=1', 'other.test', 'one', 'one,two', undefined, 'three']);
  });

  it('rewrites by regular expression', async () => {
    expect(await ask('/users/42')).toMatchObject({ status: 200, path: '/people/42' });
    expect(await ask('/users/42/x')).toMatchObject({ status: 200, path: '/users/42/x' });
  });

  it('answers and redirects by itself', async () => {
    expect(await ask('/teapot')).toMatchObject({ status: 418, text: 'short and stout' });
    expect((await ask('/large')).text).toHaveLength(6000);
    const { status, headers } = await ask('/moved/away');
    expect([status, headers['location']]).toEqual([308, 'https://elsewhere.test/here']);
    expect((await ask('/same-port')).headers['location']).toBe(`http://elsewhere.test:${port - 5000}/same-port`);
  });

  it('has the routes of a delegate, and not those that its rule does not hand over', async () => {
    expect(await ask('/team/a')).toMatchObject({ status: 200, path: '/delegated' });
    expect((await ask('/outside')).status).toBe(200);
  });

  it('resolves names under a wildcard host as requests come', async () => {
    expect(await ask('/', { to: `any.localhost:${a[0]!.port}` })).toMatchObject({ status: 200, instance: 'a-1' });
    expect(await ask('/', { to: `other.localhost:${b[0]!.port}` })).toMatchObject({ status: 200, instance: 'b-1' });
  });

  it('makes cookies with attributes, and takes tuned warm-up and zones', async () => {
    const made = String((await ask('/', { to: 'sticky.test.internal' })).headers['set-cookie']);
    expect(made).toMatch(/^stick=/);
    expect(made).toContain('SameSite=Lax');
    expect((await ask('/', { to: 'warm.test.internal' })).status).toBe(200);
  });

  it('injects faults', async () => {
    expect((await ask('/abort')).status).toBe(599);
    const before = performance.now();
    expect((await ask('/delay')).status).toBe(200);
    expect(performance.now() - before).toBeGreaterThan(250);
  });

  it('mirrors', async () => {
    const shadows = () => b[0]!.seen.filter(({ path }) => path === '/mirror').map(({ headers }) => headers['host']);
    expect(await ask('/mirror')).toMatchObject({ status: 200, instance: expect.stringMatching(/^a-/) as string });
    await vi.waitFor(() => expect(shadows()).toEqual([expect.stringContaining('-shadow')]));
  });

  it('answers 503 for a subset that does not exist', async () => {
    expect((await ask('/nowhere')).status).toBe(503);
  });

  it('matches by query and by the absence of a header', async () => {
    expect((await ask('/query?v=bbb')).instance).toBe('b-1');
    // A user whose requests the hash sends elsewhere.
    let user = 0;
    while ((await ask('/any', { headers: { 'x-user': String(user) } })).instance === 'b-1') user++;
    for (const [path, headers] of [['/query?v=bbb', { 'x-no': '1' }], ['/query?v=c', {}], ['/query', {}]] as const) {
      expect((await ask(path, { headers: { 'x-user': String(user), ...headers } })).instance).toMatch(/^a-/);
    }
  });

  it('hashes consistently by header', async () => {
    const instances = new Map<string, Set<string | undefined>>();
    for (let round = 0; round < 3; round++) {
      for (let user = 0; user < 30; user++) {
        const { instance } = await ask('/any', { headers: { 'x-user': `user-${user}` } });
        instances.set(`user-${user}`, (instances.get(`user-${user}`) ?? new Set()).add(instance));
      }
    }
    expect([...instances.values()].every((set) => set.size === 1)).toBe(true);
    expect(new Set([...instances.values()].flatMap((set) => [...set])).size).toBe(3);
  });

  it.each(['strict', 'logical'])('reaches a service by DNS name (%s)', async (name) => {
    expect(await ask('/dns', { to: `${name}.test.internal` })).toMatchObject({ status: 200, instance: 'a-1' });
  });

  it('breaks the circuit at the limits of the connection pool', async () => {
    const to = 'narrow.test.internal';
    const finished: { status: number; text: string }[] = [];
    // One goes through, one may wait for its connection, and there is no place for the others.
    const all = Promise.all(Array.from({ length: 5 }, async () => finished.push(await ask('/hold', { to }))));
    await vi.waitFor(() => expect(finished.length).toBeGreaterThanOrEqual(3), { timeout: 10_000 });
    expect(finished.every(({ status, text }) => status === 503 && text.includes('overflow'))).toBe(true);
    const releasing = setInterval(() => release.splice(0).forEach((answer) => answer()), 5);
    await all.finally(() => clearInterval(releasing));
    expect(finished.at(-1)).toMatchObject({ status: 200, text: 'held' });
  });

  it('ejects an endpoint that fails', async () => {
    const to = 'fragile.test.internal';
    const statuses = async () => Promise.all(Array.from({ length: 10 }, async () => (await ask('/', { to })).status));
    await vi.waitFor(async () => expect(await statuses()).toEqual(Array.from({ length: 10 }, () => 200)), { timeout: 10_000, interval: 50 });
  });

  it('ends a request after the timeout of its route', async () => {
    expect(await ask('/silent')).toMatchObject({ status: 504 });
  });

  it('rejected nothing, and found nothing unknown or deprecated', () => {
    expect([...mesh.controlPlane.discovery.stats.rejects]).toEqual([]);
    // The only field by which Envoy takes a grpc-timeout beside a timeout; istiod sends it too.
    const lines = peer.log().split('\n').filter((line) => !line.includes('RouteAction.max_grpc_timeout'));
    expect(lines.filter((line) => /reject|error|deprecated|unknown/i.test(line))).toEqual([]);
  });
});
