import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { TestAuthority } from '@weft/spiffe/testing';
import { TlsContexts } from '@weft/spiffe';
import { afterEach, expect, test, vi } from 'vitest';
import { HandMadeMesh, retryPolicy, type Service } from '../../test-support/hand-made-mesh.js';
import { testServer, type TestServer } from '../../test-support/test-server.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const authority = TestAuthority.create('cluster.local');
const payments = 'spiffe://cluster.local/ns/shop/sa/payments';

async function paymentsServer(path = '/ns/shop/sa/payments', issuer = authority): Promise<TestServer> {
  const tls = new TlsContexts(issuer.source(path, ...(issuer === authority ? [] : [authority])));
  const server = await testServer((_request, response) => response.end('secret'), { tls });
  cleanups.push(() => server.close());
  return server;
}

function mesh(service: Service, tls: TlsContexts | undefined = new TlsContexts(authority.source('/ns/shop/sa/web'))): HandMadeMesh {
  const made = new HandMadeMesh(tls ? { tls } : {}).add('payments', service);
  cleanups.push(() => made.close());
  return made;
}

function mutualTls(ports: readonly number[], options: { spiffeId?: string; sans?: readonly string[]; identityMissing?: boolean } = {}): Service {
  const { spiffeId, sans = [], identityMissing = false } = options;
  return {
    ports,
    endpoint: () => ({ metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } }, identityMissing, ...(spiffeId !== undefined && { spiffeId }) }),
    cluster: {
      transportSockets: [
        { name: 'tlsMode-istio', match: { tlsMode: 'istio' }, tls: { identityProvider: 'default', rootProvider: 'default', subjectAltNames: sans.map((value) => ({ kind: 'exact', value, ignoreCase: false })), alpn: ['istio', 'http/1.1'], sni: 'outbound_.80_._.payments' } },
        { name: 'tlsMode-disabled', match: {} },
      ],
    },
  };
}

test('both sides show their identity, and the spelling of the host does not matter to connections', async () => {
  const server = await paymentsServer();
  const made = mesh(mutualTls([server.port], { spiffeId: payments }));
  for (let i = 0; i < 20; i++) {
    const host = i % 2 === 0 ? 'payments' : 'payments.shop';
    const response = await made.client.request('http://payments/', { headers: { host } });
    expect([response.statusCode, await response.body.text()]).toEqual([200, 'secret']);
  }
  // Two and not one, since undici lets a connection rest for a turn of the event loop.
  expect(server.connections).toBeLessThanOrEqual(2);
  expect(made.ended[0]).toMatchObject({ mutualTls: true, upstreamSpiffeId: payments });
  expect(new Set(server.peers)).toEqual(new Set(['spiffe://cluster.local/ns/shop/sa/web']));
});

test('an endpoint with another identity than expected is refused', async () => {
  const server = await paymentsServer('/ns/shop/sa/impostor');
  for (const expectation of [{ spiffeId: payments }, { sans: [payments] }]) {
    const { client } = mesh(mutualTls([server.port], expectation));
    await expect(client.request('http://payments/')).rejects.toMatchObject({ code: 'WEFT_PEER_IDENTITY', message: expect.stringContaining('sa/impostor') as string });
  }
  expect(server.requests).toBe(0);
});

test('the identity expected of the endpoint beats the service\'s list', async () => {
  const server = await paymentsServer();
  const { client } = mesh(mutualTls([server.port], { spiffeId: 'spiffe://cluster.local/ns/shop/sa/other', sans: [payments] }));
  await expect(client.request('http://payments/')).rejects.toMatchObject({ code: 'WEFT_PEER_IDENTITY' });
});

test('an authority that is not trusted is refused', async () => {
  const server = await paymentsServer('/ns/shop/sa/payments', TestAuthority.create('cluster.local'));
  const { client } = mesh(mutualTls([server.port], { spiffeId: payments }));
  await expect(client.request('http://payments/')).rejects.toMatchObject({ code: 'WEFT_PEER_IDENTITY' });
  expect(server.requests).toBe(0);
});

test('an endpoint that must speak mTLS but has no identity never gets plain text', async () => {
  const server = await testServer((_request, response) => response.end('plain'));
  cleanups.push(() => server.close());
  const { client } = mesh(mutualTls([server.port], { identityMissing: true }));
  await expect(client.request('http://payments/')).rejects.toMatchObject({ code: 'WEFT_PEER_IDENTITY', message: expect.stringContaining('no identity') as string });
  expect(server.connections).toBe(0);
});

test('a process without identity fails with the reason', async () => {
  const server = await paymentsServer();
  const made = new HandMadeMesh().add('payments', mutualTls([server.port], { spiffeId: payments }));
  cleanups.push(() => made.close());
  await expect(made.client.request('http://payments/')).rejects.toMatchObject({ code: 'WEFT_IDENTITY_UNAVAILABLE' });
});

test('a wrong identity is retried on another host, never on the same', async () => {
  const [good, bad] = [await paymentsServer(), await paymentsServer('/ns/shop/sa/impostor')];
  const { client } = mesh({ ...mutualTls([bad.port, good.port], { spiffeId: payments }), retryPolicy: retryPolicy(['connect-failure']) });
  for (let i = 0; i < 4; i++) expect(await (await client.request('http://payments/')).body.text()).toBe('secret');
  const alone = mesh({ ...mutualTls([bad.port], { spiffeId: payments }), retryPolicy: retryPolicy(['connect-failure']) });
  await expect(alone.client.request('http://payments/')).rejects.toMatchObject({ code: 'WEFT_PEER_IDENTITY' });
  expect(alone.ended[0]!.attempts).toBe(1);
});

test('after a rotation requests use the new identity, and old connections close', async () => {
  const server = await paymentsServer();
  const source = authority.source('/ns/shop/sa/web');
  const { client } = mesh(mutualTls([server.port], { spiffeId: payments }), new TlsContexts(source));
  await (await client.request('http://payments/')).body.text();
  const { svid, bundles } = { svid: authority.svid('/ns/shop/sa/web2'), bundles: source.current()!.bundles };
  source.set(svid, bundles);
  await (await client.request('http://payments/')).body.text();
  expect(server.peers).toEqual(['spiffe://cluster.local/ns/shop/sa/web', 'spiffe://cluster.local/ns/shop/sa/web2']);
  await vi.waitFor(() => expect(server.open).toBe(1));
});

test('TLS with files: the authority of the file and one of the names, or nothing', async () => {
  const outside = TestAuthority.create('outside');
  const { chainPem, keyPem } = outside.issue({ dnsNames: ['api.example.com'] });
  const server = createServer({ cert: chainPem, key: keyPem }, (_request, response) => response.end('outside')).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  cleanups.push(async () => { server.closeAllConnections(); server.close(); });
  const folder = mkdtempSync(join(tmpdir(), 'weft-'));
  cleanups.push(async () => rmSync(folder, { recursive: true }));
  const trustedCaFile = join(folder, 'ca.pem');
  writeFileSync(trustedCaFile, outside.pem);
  const { port } = server.address() as AddressInfo;
  const status = async (tls: object) => {
    const { client } = mesh({ ports: [port], cluster: { transportSockets: [{ name: 'tls', match: {}, tls: { subjectAltNames: [], alpn: [], sni: 'api.example.com', ...tls } }] } });
    return client.request('http://payments/').then(({ statusCode }) => statusCode, (error: { code: string }) => error.code);
  };
  const names = (kind: 'exact' | 'suffix', value: string) => ({ subjectAltNames: [{ kind, value, ignoreCase: false }] });
  expect(await status({ trustedCaFile })).toBe(200);
  expect(await status({ trustedCaFile, ...names('suffix', '.example.com') })).toBe(200);
  expect(await status({ trustedCaFile, ...names('exact', 'other.example.com') })).toBe('WEFT_PEER_IDENTITY');
  expect(await status({ trustedCaFile, sni: 'other.example.com' })).toBe('WEFT_PEER_IDENTITY');
  expect(await status({ trustedCaPem: authority.pem })).toBe('WEFT_PEER_IDENTITY');
  expect(await status({})).toBe('WEFT_PEER_IDENTITY');
});
