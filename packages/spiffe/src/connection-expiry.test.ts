import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterEach, expect, it } from 'vitest';
import { endWithCertificates, IdentityHolder, TlsContexts } from './index.js';
import { bundlesOf, FakeClock, TestAuthority } from './testing.js';

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const authority = TestAuthority.create('td');
const soon = () => Date.now() + 600_000;

function source(path: string, notAfter: number) {
  const holder = new IdentityHolder();
  holder.set(authority.svid(path, { notAfter }), bundlesOf(authority));
  return new TlsContexts(holder);
}

async function connection(serverEnds: number, clientEnds: number): Promise<TLSSocket> {
  const server = createServer(source('/ns/a/sa/server', serverEnds).serverOptions({ alpn: [], requireClientCertificate: true }), (socket) => socket.on('error', () => undefined));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ...source('/ns/a/sa/client', clientEnds).upstream({ expectedIds: [], alpn: [] }) });
  cleanups.push(() => server.close(), () => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

it.each([['the server', soon, () => Date.now() + 3_600_000], ['the client', () => Date.now() + 3_600_000, soon]])('a connection ends with the certificate of %s', async (_who, serverEnds, clientEnds) => {
  const clock = new FakeClock();
  const socket = await connection(serverEnds(), clientEnds());
  endWithCertificates(socket, clock);
  clock.advance(590_000);
  expect(socket.destroyed).toBe(false);
  const error = once(socket, 'error');
  clock.advance(11_000);
  expect(String(await error)).toMatch(/certificate of this connection has expired/);
  expect(socket.destroyed).toBe(true);
});

it('leaves no timer behind a connection that ended before', async () => {
  const clock = new FakeClock();
  const socket = await connection(soon(), soon());
  endWithCertificates(socket, clock);
  expect(clock.pending).toBe(1);
  socket.destroy();
  await once(socket, 'close');
  expect(clock.pending).toBe(0);
});
