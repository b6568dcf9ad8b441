// Ports of bytes: their modes, policy, who speaks first, and draining.
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { allowOnly } from '@weft/data-plane/testing';
import { TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { afterEach, expect, it, vi } from 'vitest';
import { opening } from '../listener/client-hello.js';
import { testMesh, type TestMesh } from '../testing.js';

const authority = TestAuthority.create('cluster.local');
const web = 'spiffe://cluster.local/ns/shop/sa/web';
const local = { port: 0, host: '127.0.0.1' };
const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

function start(listener: NonNullable<Parameters<typeof testMesh>[0]>['listener'], settings = {}): TestMesh {
  const mesh = testMesh({ tls: new TlsContexts(authority.source('/ns/shop/sa/payments')), listener: { bytes: true, ...listener }, settings: { detectTimeoutMs: 50, ...settings } });
  open.push(() => mesh.close());
  return mesh;
}

function dial(port: number, path?: string): Socket {
  const identity = path === undefined ? undefined : new TlsContexts(authority.source(path)).upstream({ expectedIds: [], alpn: ['istio'] });
  const socket = identity ? connectTls({ ...identity, port, host: '127.0.0.1' }) : connect(port, '127.0.0.1');
  open.push(() => socket.destroy());
  return socket.on('error', () => {});
}

const speaksFirst = (socket: Socket) => {
  socket.on('error', () => {}).write('hello ');
  socket.pipe(socket);
};

async function talk(socket: Socket): Promise<string> {
  socket.once('data', () => socket.end('there'));
  return text(socket).catch(() => '');
}

it.each([
  ['strict', undefined, ''],
  ['strict', '/ns/shop/sa/web', 'hello there'],
  ['permissive', undefined, 'hello there'],
  ['permissive', '/ns/shop/sa/web', 'hello there'],
  ['disable', undefined, 'hello there'],
] as const)('%s: a client with identity %s hears "%s"', async (mode, path, heard) => {
  const { mesh } = start({ mode });
  const { port } = await mesh.listen(createServer({ allowHalfOpen: true }, speaksFirst), local);
  const socket = dial(port, path);
  // What is no TLS is not TLS: the handshake fails at once.
  if (mode === 'strict' && path === undefined) socket.write('plain');
  expect(await talk(socket)).toBe(heard);
});

it('policy judges a connection before its first byte, in either direction', async () => {
  const { mesh, warnings } = start({ mode: 'strict', rbac: [allowOnly(web)] });
  const seen = vi.fn(speaksFirst);
  const { port } = await mesh.listen(seen, { ...local, protocol: 'tcp' });
  expect(await talk(dial(port, '/ns/shop/sa/other'))).toBe('');
  expect(seen).not.toHaveBeenCalled();
  expect(warnings).toEqual(['connection refused: rbac_access_denied_matched_policy[none]']);
  const socket = dial(port, '/ns/shop/sa/web');
  await once(socket, 'data');
  expect(mesh.metrics()).toMatch(/istio_tcp_connections_opened_total\{reporter="destination".*source_principal="spiffe:\/\/cluster.local\/ns\/shop\/sa\/web".*request_protocol="tcp".*\} 1/);
});

it('a connection that a newer policy does not allow is cut off, others stay', async () => {
  const test = start({ mode: 'strict' });
  const { port } = await test.mesh.listen(speaksFirst, { ...local, protocol: 'tcp' });
  const [kept, cut] = [dial(port, '/ns/shop/sa/web'), dial(port, '/ns/shop/sa/other')];
  await Promise.all([once(kept, 'data'), once(cut, 'data')]);
  test.configure({ bytes: true, mode: 'strict', rbac: [allowOnly(web)] });
  await once(cut, 'close');
  kept.write('still');
  expect(String((await once(kept, 'data'))[0])).toBe('still');
});

it('what does not fit the port is refused with the reason', async () => {
  const bytes = start({});
  const http = await bytes.mesh.listen(createHttpServer((_request, response) => response.end('no')), local);
  expect(await talk(dial(http.port))).toBe('');
  expect(bytes.warnings[0]).toContain('an HTTP server on a port that is TCP in the mesh');
  const requests = start({ bytes: false });
  const tcp = await requests.mesh.listen(createServer(speaksFirst), local);
  expect(await talk(dial(tcp.port))).toBe('');
  expect(requests.warnings[0]).toContain('a server of bytes on a port that is HTTP in the mesh');
  await expect(bytes.mesh.listen({} as never, { ...local, protocol: 'tcp' })).rejects.toThrow('expected a net.Server');
});

it('permissive: TLS that is not the mesh\'s is the application\'s own', async () => {
  const { mesh } = start({ mode: 'permissive' });
  const { chainPem: cert, keyPem: key } = authority.issue({ dnsNames: ['db'] });
  const { port } = await mesh.listen(createHttpsServer({ cert, key }, (_request, response) => response.end('own')), { ...local, protocol: 'tcp' });
  const own = connectTls({ port, host: '127.0.0.1', ca: authority.pem, servername: 'db', ALPNProtocols: ['http/1.1'] });
  open.push(() => own.destroy());
  own.write('GET / HTTP/1.1\r\nhost: db\r\nconnection: close\r\n\r\n');
  expect(await text(own)).toContain('own');
  // The same inside the mesh's.
  const outer = dial(port, '/ns/shop/sa/web');
  await once(outer, 'secureConnect');
  const inner = connectTls({ socket: outer, ca: authority.pem, servername: 'db' });
  open.push(() => inner.destroy());
  inner.write('GET / HTTP/1.1\r\nhost: db\r\nconnection: close\r\n\r\n');
  expect(await text(inner)).toContain('own');
});

it('whatever a client begins with, in whatever pieces, is bytes or the mesh\'s', async () => {
  const hello = await new Promise<Buffer>((resolve) => {
    const sink = createServer((socket) => socket.once('data', (data) => resolve(data as Buffer))).listen(0, '127.0.0.1', () => {
      const socket = connectTls({ port: (sink.address() as AddressInfo).port, host: '127.0.0.1', ALPNProtocols: ['h2', 'istio'], servername: 'db' }).on('error', () => {});
      open.push(() => socket.destroy(), () => sink.close());
    });
  });
  for (let length = 0; length < hello.length; length++) expect(opening(hello.subarray(0, length))).toBeUndefined();
  expect(opening(hello)).toBe('mesh');
  const seed = Date.now() % 2 ** 31;
  const random = seeded(seed);
  for (let i = 0; i < 2000; i++) {
    const broken = Buffer.from(hello);
    for (let n = 0; n < 3; n++) broken[Math.floor(random() * broken.length)] = Math.floor(random() * 256);
    expect(['mesh', 'bytes', undefined], `seed ${seed}`).toContain(opening(broken));
  }
});

/** mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

it('closing waits for connections, for a while', async () => {
  const { mesh } = start({}, { drainTimeoutMs: 50 });
  const { port, close } = await mesh.listen(speaksFirst, { ...local, protocol: 'tcp' });
  const socket = dial(port);
  await once(socket, 'data');
  expect(mesh.status().listeners[0]).toMatchObject({ activeRequests: 1 });
  const closed = once(socket, 'close');
  await close();
  await closed;
});
