// What fails must fail closed, soon and with the reason: no plain text where identities are wanted, no answer where nothing is known.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import grpc from '@grpc/grpc-js';
import { systemClock, type Clock } from '@weft/spiffe';
import { request as plainRequest } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { freePort } from '../support/free-port.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

const patience = { timeout: 10_000, interval: 20 };
/** Waits are a twentieth as long: what takes 15 s by contract need not in a test. */
const hurried: Clock = { now: () => systemClock.now(), setTimeout: (run, ms) => systemClock.setTimeout(run, ms / 20) };
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

let mesh: TestMesh;
let caller: TestWorkload;
let target: TestWorkload;
let targetPort: number;
let handled = 0;
let raw = 0;
const handler = (_incoming: IncomingMessage, response: ServerResponse) => {
  handled += 1;
  response.end('ok');
};
const folders: string[] = [];

beforeAll(async () => {
  mesh = await TestMesh.start({ 'mesh.yaml': `${serviceYaml('target')}${groupYaml('caller', 'caller')}${groupYaml('other', 'other')}`, 'security.yaml': strictYaml });
  target = await mesh.workload('target');
  targetPort = (await target.server.listen(createHttpServer(handler), { port: 0, host: '127.0.0.1' })).port;
  caller = await mesh.workload('caller');
  await vi.waitFor(async () => expect(await outcome(caller)).toBe('200'), patience);
});
afterAll(async () => {
  await mesh?.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
afterEach(() => {
  for (const name of ['raw.yaml', 'extra.yaml']) mesh.config.write(name, '# nothing\n');
});

const failure = (error: Error & { code?: string; cause?: Error & { code?: string } }) => (error.message === 'fetch failed' ? `${error.cause?.code} ${error.cause?.message}` : `${error.code} ${error.message}`);
const outcome = ({ client }: Pick<TestWorkload, 'client'>, url = 'http://target/') => client.request(url).then(async ({ statusCode, body }) => (statusCode === 200 ? '200' : `${statusCode} ${await body.text()}`), failure);
const fetched = ({ client }: TestWorkload, url = 'http://target/') => client.fetch(url).then(async (response) => `${response.status} ${await response.text()}`, failure);
const called = ({ client }: TestWorkload, target = 'target:50051') =>
  new Promise<string>((resolve) => {
    const stub = new grpc.Client(target, grpc.credentials.createInsecure(), client.grpc());
    const same = (bytes: Buffer) => bytes;
    stub.makeUnaryRequest('/test.Echo/Echo', same, same, Buffer.from('{}'), { deadline: Date.now() + 10_000 }, (error) => {
      stub.close();
      resolve(error ? `${error.code} ${error.details}` : 'OK');
    });
  });
const ready = ({ client }: TestWorkload, ms = 2000) => client.ready(AbortSignal.timeout(ms)).then(() => 'ready', failure);
/** Everything that an application could ask says the same. */
async function everywhere(workload: TestWorkload, reason: RegExp): Promise<void> {
  for (const said of await Promise.all([ready(workload), outcome(workload), fetched(workload), called(workload)])) expect(said).toMatch(reason);
}
async function closing<T>(workload: TestWorkload, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } finally {
    await workload.close();
  }
}
const join_ = (name: string, options: Parameters<TestMesh['workload']>[2], account = name) => mesh.workload(name, account, { clock: hurried, logger: quiet, ...options });

describe('a workload that cannot join', () => {
  it.each([
    ['nothing listens there', async () => `127.0.0.1:${await freePort()}`, /WEFT_(IDENTITY_UNAVAILABLE|NO_CONFIG) .*the control plane 127\.0\.0\.1:\d+ cannot be reached: .*ECONNREFUSED|14 no configuration: the control plane .*ECONNREFUSED/],
    ['it is the plain-text port', async () => mesh.controlPlane.xds, /does not speak TLS: is it the plain-text or the HTTP port of `weft up`\? The one to give is printed as xds-tls=/],
    ['it is the HTTP port', async () => mesh.controlPlane.http, /does not speak TLS: is it the plain-text or the HTTP port/],
    ['the name does not resolve', async () => 'control-plane.invalid:15012', /control-plane\.invalid:15012 cannot be reached: .*(ENOTFOUND|EAI_AGAIN)/],
  ])('waits, and says why: %s', async (_what, address, reason) => {
    const workload = await join_('caller', { controlPlane: await address() });
    await closing(workload, () => everywhere(workload, reason));
  });

  it('a control plane that accepts and then says nothing', async () => {
    const sockets = new Set<Socket>();
    const silent = createTcpServer((socket) => sockets.add(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const workload = await join_('caller', { controlPlane: `127.0.0.1:${(silent.address() as { port: number }).port}` });
    const said = await closing(workload, () => outcome(workload));
    expect(said).toMatch(/WEFT_NO_CONFIG .*target:80: the control plane did not answer in 15000 ms/);
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  const flip = (text: string, at: number) => `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
  it.each<[string, (token: string) => Promise<string | undefined>, RegExp]>([
    ['pins another root', async (token) => flip(token, token.length - 20), /IDENTITY_UNAVAILABLE .*does not show the root that the join token pins|14 .*does not show the root/],
    ['is not one that was made', async (token) => flip(token, 20), /join token is unknown, expired or used up/],
    ['is damaged', async (token) => token.slice(0, -2), /the join token is damaged/],
    ['was used before', async (token) => {
      const first = await join_('caller', { token });
      await closing(first, async () => expect(await ready(first)).toBe('ready'));
      return token;
    }, /join token is unknown, expired or used up/],
  ])('fails at once where the token %s', async (_what, spoil, reason) => {
    const token = await mesh.controlPlane.joinTokens.create({ workload: 'default/caller', identity: 'default/caller' });
    const workload = await join_('caller', { token: (await spoil(token))! });
    await closing(workload, () => everywhere(workload, reason));
  });

  it('names both sides where the identity is not that of the WorkloadGroup', async () => {
    const workload = await join_('target', {}, 'caller');
    await closing(workload, () => everywhere(workload, /WorkloadGroup default\/target is for service account target, the identity of node .* is spiffe:\/\/cluster\.local\/ns\/default\/sa\/caller/));
  });

  it('refuses to start with nothing that vouches for the control plane', async () => {
    await expect(mesh.workload('caller', 'caller', { token: '' })).rejects.toMatchObject({ code: 'WEFT_BOOTSTRAP_INVALID', message: expect.stringContaining('WEFT_TOKEN_FILE') });
  });
});

describe('a state directory', () => {
  const saved = (text: string, mode: number) => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-state-'));
    folders.push(folder);
    writeFileSync(join(folder, 'identity.json'), text);
    chmodSync(join(folder, 'identity.json'), mode);
    return folder;
  };

  it.each([['is damaged', '{', 0o600, /identity\.json is damaged/], ['is empty', '', 0o600, /identity\.json is damaged/], ['is readable by others', '{}', 0o644, /must be readable by its owner only \(mode 0600, found 0644\)/]])('that %s is not believed, and the error names it', async (_what, text, mode, reason) => {
    const stateDir = saved(text, mode);
    const workload = await join_('caller', { stateDir, token: '' });
    await closing(workload, () => everywhere(workload, reason));
  });

  it('that is damaged is made anew with a token', async () => {
    const stateDir = saved('{', 0o600);
    const workload = await join_('caller', { stateDir });
    await closing(workload, async () => expect(await ready(workload)).toBe('ready'));
    const again = await join_('caller', { stateDir, token: '' });
    await closing(again, async () => expect(await ready(again)).toBe('ready'));
  });
});

describe('a server', () => {
  it('without a WorkloadGroup refuses every connection, and says what it needs', async () => {
    const workload = await join_('calller', {}, 'caller');
    await closing(workload, async () => {
      const before = handled;
      const { port } = await workload.server.listen(createHttpServer(handler), { port: 0, host: '127.0.0.1' });
      await expect(workload.server.ready(AbortSignal.timeout(2000))).rejects.toMatchObject({ code: 'WEFT_NO_CONFIG', message: expect.stringContaining('a server needs the WorkloadGroup default/calller that WEFT_WORKLOAD names') });
      await expect(plainRequest(`http://127.0.0.1:${port}/`)).rejects.toThrow();
      expect(workload.server.isReady).toBe(false);
      expect(handled).toBe(before);
    });
  });

  it('whose control plane never answered refuses every connection', async () => {
    const workload = await join_('other', { controlPlane: `127.0.0.1:${await freePort()}` });
    await closing(workload, async () => {
      const { port } = await workload.server.listen(createHttpServer(handler), { port: 0, host: '127.0.0.1' });
      const before = handled;
      await expect(plainRequest(`http://127.0.0.1:${port}/`)).rejects.toThrow();
      await expect(workload.server.ready(AbortSignal.timeout(500))).rejects.toThrow(/cannot be reached: .*ECONNREFUSED/);
      expect(handled).toBe(before);
    });
  });

  it('on a port that is taken says so, and registers nothing', async () => {
    const workload = await join_('other', {});
    await closing(workload, async () => {
      await expect(workload.server.listen(createHttpServer(handler), { port: targetPort, host: '127.0.0.1' })).rejects.toMatchObject({ code: 'EADDRINUSE' });
      expect(workload.runtime.xds.status().resources.filter(({ name }) => name.startsWith('weft/inbound'))).toEqual([]);
    });
  });
});

describe('an endpoint that cannot be trusted', () => {
  const plainBackend = async () => {
    let requests = 0;
    const server = createHttpServer((_incoming, response) => {
      requests += 1;
      response.end('plain');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { port: (server.address() as { port: number }).port, requests: () => requests, close: () => server.close() };
  };

  it('without identity under STRICT is never sent plain text', async () => {
    const backend = await plainBackend();
    mesh.config.write('extra.yaml', `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: bare }
spec: { hosts: [bare.test], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP }], endpoints: [{ address: 127.0.0.1, ports: { http: ${backend.port} } }] }
`);
    await vi.waitFor(async () => expect(await outcome(caller, 'http://bare.test/')).toMatch(/WEFT_PEER_IDENTITY .*must speak mTLS but has no identity \(no service account\)/), patience);
    expect(await fetched(caller, 'http://bare.test/')).toMatch(/WEFT_PEER_IDENTITY/);
    expect(await called(caller, 'bare.test:80')).toMatch(/^14 .*has no identity/);
    expect(backend.requests()).toBe(0);
    backend.close();
  });

  it.each([
    ['a TLS context whose certificate provider this process does not have (X13)', '{ instance_name: somewhere-else }', '', /certificate_provider_instance.*somewhere-else/],
    ['a check of certificates that is not implemented (X12)', '{ instance_name: default }', ', verify_certificate_spki: [AAAA]', /verify_certificate_spki/],
    ['a trust bundle that is not implemented (X12)', '{ instance_name: default }', ', crl: { inline_string: x }', /crl/],
  ])('%s: rejected by field, and nothing is sent', async (_what, provider, extra, field) => {
    const name = `raw${(raw += 1)}`;
    const backend = await plainBackend();
    mesh.config.write('raw.yaml', `resources:
  - '@type': type.googleapis.com/envoy.config.listener.v3.Listener
    name: ${name}.test:80
    api_listener: { api_listener: { '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, route_config: { name: r, virtual_hosts: [{ name: r, domains: ['*'], routes: [{ match: { prefix: / }, route: { cluster: ${name} } }] }] }, http_filters: [{ name: envoy.filters.http.router, typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }] } }
  - '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: ${name}
    type: STATIC
    load_assignment: { cluster_name: ${name}, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${backend.port} } } } }] }] }
    transport_socket: { name: envoy.transport_sockets.tls, typed_config: { '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: { tls_certificate_provider_instance: ${provider}, validation_context: { ca_certificate_provider_instance: { instance_name: default }${extra} } } } }
`);
    await vi.waitFor(async () => expect(await outcome(caller, `http://${name}.test/`)).toMatch(new RegExp(`^503 no cluster ${name}: a resource was rejected: .*${field.source}`)), patience);
    expect(caller.runtime.xds.status().resources.find((resource) => resource.type === 'Cluster' && resource.name === name)).toMatchObject({ state: 'nacked' });
    expect(backend.requests()).toBe(0);
    backend.close();
  });

  it('an inbound filter that is not known is rejected, and the last good listener stays', async () => {
    expect(await outcome(caller)).toBe('200');
    const listener = `weft/inbound/http/127.0.0.1:${targetPort}`;
    mesh.config.write('raw.yaml', `resources:
  - '@type': type.googleapis.com/envoy.config.listener.v3.Listener
    name: ${listener}
    address: { socket_address: { address: 127.0.0.1, port_value: ${targetPort} } }
    filter_chains: [{ filters: [{ name: hcm, typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, route_config: { virtual_hosts: [{ name: r, domains: ['*'], routes: [{ match: { prefix: / }, non_forwarding_action: {} }] }] }, http_filters: [{ name: authz, typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua } }, { name: envoy.filters.http.router, typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }] } }] }]
`);
    await vi.waitFor(() => expect(target.runtime.xds.status().resources.find(({ name }) => name === listener)).toMatchObject({ state: 'nacked', error: expect.stringMatching(/http_filters\[0\].*no filter reads envoy\.extensions\.filters\.http\.lua/) }), patience);
    await expect(plainRequest(`http://127.0.0.1:${targetPort}/`)).rejects.toThrow();
    expect(await outcome(caller)).toBe('200');
  });
});

describe('identities that run out while the authority is away', () => {
  it('end: no request is sent any more, none is answered, and the reason is the expiry', async () => {
    const brief = await TestMesh.start({ 'mesh.yaml': `${serviceYaml('target')}${groupYaml('caller', 'caller')}`, 'security.yaml': strictYaml }, { svidTtlMs: 10_000 });
    try {
      const server = await brief.workload('target', 'target', { logger: quiet });
      const client = await brief.workload('caller', 'caller', { logger: quiet });
      const { port } = await server.server.listen(createHttpServer(handler), { port: 0, host: '127.0.0.1' });
      await vi.waitFor(async () => expect(await outcome(client)).toBe('200'), patience);
      await brief.controlPlane.close();
      expect(await outcome(client)).toBe('200');
      const expiry = /WEFT_IDENTITY_UNAVAILABLE .*the SVID spiffe:\/\/cluster\.local\/ns\/default\/sa\/caller is not valid now: it holds from .* to /;
      await vi.waitFor(async () => expect(await outcome(client)).toMatch(expiry), { timeout: 15_000, interval: 200 });
      const before = handled;
      expect(await fetched(client)).toMatch(expiry);
      await expect(plainRequest(`http://127.0.0.1:${port}/`)).rejects.toThrow();
      expect(handled).toBe(before);
    } finally {
      await brief.close();
    }
  });
});
