// Ports of bytes: their modes, policy, who speaks first, and draining.
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { allowOnly } from '@weft/data-plane/testing';
import { TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { afterEach, expect, it, vi } from 'vitest';
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
