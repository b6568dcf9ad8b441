import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type ConnectionOptions, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { peerIdentity, TlsContexts, verifyResumed, X509Svid, type ServerTls, type SvidSource, type UpstreamTls } from './index.js';
import { bundlesOf, FakeClock, TestAuthority } from './testing.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const a = TestAuthority.create('td.a');
const b = TestAuthority.create('td.b');

/** A TLS server on a source; each connection is told the identity that the server sees. */
async function listen(source: SvidSource, options: Partial<ServerTls> = {}) {
  const contexts = new TlsContexts(source);
  const server = createServer(contexts.serverOptions({ alpn: ['test'], requireClientCertificate: true, ...options }));
  const stop = contexts.attachServer(server);
  const refused: string[] = [];
  server.on('tlsClientError', (error) => refused.push(error.message));
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    if (!socket.destroyed) socket.end(JSON.stringify(peerIdentity(socket) ?? 'anonymous'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => new Promise((resolve) => server.close(resolve)), stop);
  return { port: (server.address() as AddressInfo).port, server, refused };
}

/** What the server said; rejects when the handshake or the connection fails. */
async function dial(port: number, options: TlsOptions | object): Promise<string> {
  const socket = connect({ ...(options as ConnectionOptions), host: '127.0.0.1', port });
  return new Promise((resolve, reject) => {
    let said = '';
    socket.setEncoding('utf8').on('data', (text) => (said += text));
    socket.on('error', reject);
    socket.on('close', () => (said ? resolve(said) : reject(new Error('closed without a word'))));
  });
}

const upstream = (source: SvidSource, options: Partial<UpstreamTls> = {}) => new TlsContexts(source).upstream({ expectedIds: [], alpn: ['test'], ...options });
const presenting = (leaf: { chainPem: string; keyPem: string }) => ({ cert: leaf.chainPem, key: leaf.keyPem, rejectUnauthorized: false, ALPNProtocols: ['test'] });

describe('a connection between two workloads', () => {
  it('gives each side the identity of the other', async () => {
    const { port } = await listen(a.source('/ns/shop/sa/db'));
    const said = await dial(port, upstream(a.source('/ns/shop/sa/web'), { expectedIds: ['spiffe://td.a/ns/shop/sa/db'] }));
    expect(JSON.parse(said)).toEqual({ spiffeId: 'spiffe://td.a/ns/shop/sa/web', trustDomain: 'td.a', namespace: 'shop', serviceAccount: 'web' });
  });

  it('is refused by the client when the server is somebody else', async () => {
    const { port } = await listen(a.source('/ns/shop/sa/db'));
    const client = a.source('/ns/shop/sa/web');
    await expect(dial(port, upstream(client, { expectedIds: ['spiffe://td.a/ns/shop/sa/other'] }))).rejects.toThrow(/the peer is .*sa\/db, expected .*sa\/other/);
    await expect(dial(port, upstream(client, { expectedIds: ['spiffe://td.a/ns/shop/sa/d'] }))).rejects.toThrow(/the peer is/);
  });

  it('accepts any workload of the own trust domain when none is named, and none of another', async () => {
    const own = await listen(a.source('/ns/shop/sa/db', b));
    const foreign = await listen(b.source('/ns/shop/sa/db', a));
    const client = a.source('/ns/shop/sa/web', b);
    await dial(own.port, upstream(client));
    await expect(dial(foreign.port, upstream(client))).rejects.toThrow();
    await dial(foreign.port, upstream(client, { expectedIds: ['spiffe://td.b/ns/shop/sa/db'] }));
    await dial(foreign.port, upstream(client, { expectedIds: ['spiffe://td.b/ns/shop/sa/db', 'spiffe://td.a/ns/shop/sa/db'] }));
    await dial(own.port, upstream(client, { expectedIds: ['spiffe://td.b/ns/shop/sa/db', 'spiffe://td.a/ns/shop/sa/db'] }));
  });

  it('is TLS 1.3 or nothing', async () => {
    const { port } = await listen(a.source('/ns/shop/sa/db'));
    const { chainPem, keyPem } = a.svid('/ns/shop/sa/web');
    await expect(dial(port, { ...presenting({ chainPem, keyPem }), maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version|closed/);
  });
});

describe('several trust domains on one listener', () => {
  const forged = (issuer: TestAuthority, uri: string) => presenting(issuer.issue({ uris: [uri] }));
  // td_c: an underscore is legal in a trust domain and not in a DNS name.
  const c = TestAuthority.create('td_c');
  const numeric = TestAuthority.create('10.0.0.1');
  it.each([
    ['its own authority', a, 'spiffe://td.a/x', true],
    ['the other domain by the other authority', b, 'spiffe://td.b/x', true],
    ['a domain with an underscore by its authority', c, 'spiffe://td_c/x', true],
    ['a domain that looks like an address', numeric, 'spiffe://10.0.0.1/x', true],
    ['an intermediate of the other authority', b.intermediate(), 'spiffe://td.b/x', true],
    ['the first domain by the second authority', b, 'spiffe://td.a/x', false],
    ['the second domain by the first authority', a, 'spiffe://td.b/x', false],
    ['the first domain by an intermediate of the second', b.intermediate(), 'spiffe://td.a/x', false],
    ['a domain below the second', b, 'spiffe://sub.td.b/x', false],
    ['a domain nobody vouches for', a, 'spiffe://td.z/x', false],
    ['its domain by an unknown authority', TestAuthority.create('td.a'), 'spiffe://td.a/x', false],
  ])('%s', async (_name, issuer, uri, accepted) => {
    const { port } = await listen(a.source('/server', b, c, numeric));
    const dialed = dial(port, forged(issuer, uri));
    if (accepted) expect(JSON.parse(await dialed)).toMatchObject({ spiffeId: uri });
    else await expect(dialed).rejects.toThrow();
  });

  it('a client that waits for either of two domains is not fooled by one of them', async () => {
    const source = b.source('/x', a);
    const { port } = await listen(source);
    const both = () => upstream(a.source('/web', b), { expectedIds: ['spiffe://td.a/x', 'spiffe://td.b/x'] });
    expect(await dial(port, both())).toContain('/web');
    source.set(X509Svid.parse(b.issue({ uris: ['spiffe://td.a/x'] })), bundlesOf(a, b));
    await expect(dial(port, both())).rejects.toThrow(/permitted subtree violation/);
  });
});

describe('a client certificate that is no workload identity', () => {
  it.each([
    ['no URI', a.issue({ uris: [], dnsNames: ['web'] })],
    ['two URIs', a.issue({ uris: ['spiffe://td.a/x', 'spiffe://td.a/y'] })],
    ['no path', a.issue({ uris: ['spiffe://td.a'] })],
    ['upper case', a.issue({ uris: ['spiffe://TD.a/x'] })],
    ['a comma and a second URI inside', a.issue({ uris: ['spiffe://td.a/x, URI:spiffe://td.a/y'] })],
    ['the right to sign certificates', a.issue({ uris: ['spiffe://td.a/x'], keyUsage: 0x84 })],
    ['a CA certificate', a.issue({ uris: ['spiffe://td.a/x'], ca: true })],
    ['an expired one', a.issue({ uris: ['spiffe://td.a/x'], notAfter: Date.now() - 1000 })],
    ['one from an unknown authority', TestAuthority.create('td.a').issue({ uris: ['spiffe://td.a/x'] })],
  ])('%s is refused, where certificates are required and where they are optional', async (_name, leaf) => {
    const strict = await listen(a.source('/server'));
    await expect(dial(strict.port, presenting(leaf))).rejects.toThrow();
    const permissive = await listen(a.source('/server'), { requireClientCertificate: false });
    await expect(dial(permissive.port, presenting(leaf))).rejects.toThrow();
    expect(permissive.refused).toHaveLength(1);
  });

  it('none at all is anonymous only where certificates are optional', async () => {
    const anonymous = { rejectUnauthorized: false, ALPNProtocols: ['test'] };
    await expect(dial((await listen(a.source('/server'))).port, anonymous)).rejects.toThrow();
    expect(await dial((await listen(a.source('/server'), { requireClientCertificate: false })).port, anonymous)).toBe('"anonymous"');
  });
});

it('an https server under a source answers verified clients and no others', async () => {
  const contexts = new TlsContexts(a.source('/server'));
  const server = https.createServer(contexts.serverOptions({ alpn: ['http/1.1'], requireClientCertificate: false }), (request, response) => void response.end(peerIdentity(request.socket as TLSSocket)?.spiffeId));
  contexts.attachServer(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  const get = (leaf: { chainPem: string; keyPem: string }) =>
    new Promise<string>((resolve, reject) => {
      https.get({ ...(presenting(leaf) as object), ...({ ALPNProtocols: ['http/1.1'] } as object), host: '127.0.0.1', port: (server.address() as AddressInfo).port, agent: false }, (response) => response.setEncoding('utf8').on('data', resolve)).on('error', reject);
    });
  expect(await get(a.svid('/web'))).toBe('spiffe://td.a/web');
  await expect(get(TestAuthority.create('td.a').svid('/web'))).rejects.toThrow();
  await expect(get(a.issue({ uris: ['spiffe://td.a/x', 'spiffe://td.a/y'] }))).rejects.toThrow();
  expect(await get(a.svid('/web'))).toBe('spiffe://td.a/web');
});

describe('session resumption', () => {
  it('is refused by our servers', async () => {
    const { port } = await listen(a.source('/server'));
    const client = presenting(a.svid('/web'));
    const first = connect({ host: '127.0.0.1', port, ...client });
    const [session] = (await once(first, 'session')) as [Buffer];
    first.destroy();
    const second = connect({ host: '127.0.0.1', port, ...client, session });
    await once(second, 'secureConnect');
    expect(second.isSessionReused()).toBe(false);
    second.destroy();
  });

  it('destroys a connection on which a foreign server resumed one', async () => {
    const { chainPem, keyPem } = a.svid('/server');
    const server = createServer({ cert: chainPem, key: keyPem }, (socket) => socket.on('error', () => undefined).end('x'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    const options = { host: '127.0.0.1', port: (server.address() as AddressInfo).port, rejectUnauthorized: false };
    const first = connect(options);
    const [session] = (await once(first, 'session')) as [Buffer];
    first.destroy();
    const second: TLSSocket = connect({ ...options, session });
    await once(second, 'secureConnect');
    expect(second.isSessionReused()).toBe(true);
    expect(() => verifyResumed(second)).toThrow(/resumed/);
    expect(second.destroyed).toBe(true);
  });
});

describe('rotation', () => {
  it('moves server and client to a new authority without a restart, and drops the old one', async () => {
    const next = TestAuthority.create('td.a');
    const serverSource = a.source('/server');
    const clientSource = a.source('/web');
    const { port } = await listen(serverSource);
    const stale = upstream(clientSource);
    expect(await dial(port, upstream(clientSource))).toContain('/web');
    serverSource.set(next.svid('/server'), bundlesOf(next));
    await expect(dial(port, upstream(clientSource))).rejects.toThrow();
    clientSource.set(next.svid('/web2'), bundlesOf(next));
    expect(await dial(port, upstream(clientSource))).toContain('/web2');
    await expect(dial(port, stale)).rejects.toThrow();
  });

  it('makes one context per generation and says when the generation changes', () => {
    const source = a.source('/web');
    const contexts = new TlsContexts(source);
    const seen: number[] = [];
    const stop = contexts.subscribe((generation) => seen.push(generation));
    const options = { expectedIds: [], alpn: [] };
    const first = contexts.upstream(options).secureContext;
    expect(contexts.upstream(options).secureContext).toBe(first);
    source.set(a.svid('/web'), bundlesOf(a));
    expect(contexts.upstream(options).secureContext).not.toBe(first);
    stop();
    source.set(a.svid('/web'), bundlesOf(a));
    expect([seen, contexts.generation]).toEqual([[2], 3]);
  });

  it('gives no context without a valid SVID or without a bundle', () => {
    const clock = new FakeClock();
    const contexts = new TlsContexts(a.source('/web'), { clock });
    expect(() => contexts.upstream({ expectedIds: ['spiffe://td.b/x'], alpn: [] })).toThrow(/no trust bundle for the trust domain td\.b/);
    clock.advance(2 * 3_600_000);
    expect(() => contexts.upstream({ expectedIds: [], alpn: [] })).toThrow(/SVID spiffe:\/\/td\.a\/web is not valid now/);
  });
});
