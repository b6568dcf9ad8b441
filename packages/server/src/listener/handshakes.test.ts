import { createServer } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import { TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { afterEach, expect, it, vi } from 'vitest';
import { testMesh } from '../testing.js';

const authority = TestAuthority.create('cluster.local');
const closers: (() => unknown)[] = [];
afterEach(async () => void (await Promise.all(closers.splice(0).map((close) => close()))));

async function start(settings = {}) {
  const mesh = testMesh({ tls: new TlsContexts(authority.source('/ns/shop/sa/payments')), listener: { mode: 'strict' }, settings });
  const { port } = await mesh.mesh.listen(createServer((_request, response) => response.end('hello')), { port: 0, host: '127.0.0.1' });
  closers.push(() => mesh.close());
  return { mesh, port };
}

/** A client that begins a handshake and says no more. */
async function silent(port: number, { ends = false } = {}): Promise<Socket> {
  const socket = connectTcp({ port, host: '127.0.0.1' });
  closers.push(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]));
  if (ends) socket.end();
  socket.resume();
  return socket;
}

it('the oldest handshake is given up for a new one beyond the limit, connections that are made are not', async () => {
  const { mesh, port } = await start({ maxHandshakes: 2 });
  const { secureContext, ALPNProtocols } = new TlsContexts(authority.source('/ns/shop/sa/web')).upstream({ expectedIds: [], alpn: ['http/1.1'] });
  const made = connectTls({ secureContext, ALPNProtocols, checkServerIdentity: () => undefined, rejectUnauthorized: false, port, host: '127.0.0.1' });
  closers.push(() => made.destroy());
  await once(made, 'secureConnect');

  const first = await silent(port);
  const isOpen = (count: number) => vi.waitFor(() => expect(mesh.mesh.status().listeners[0]!.openConnections).toBeGreaterThanOrEqual(count));
  await isOpen(2);
  const gone = once(first, 'close');
  await silent(port);
  await silent(port);
  await gone;
  expect(mesh.mesh.metrics()).toMatch(/weft_inbound_connections_refused_total\{.*too many TLS handshakes at once.*\} 1/);
  made.write('GET / HTTP/1.1\r\nhost: payments\r\n\r\n');
  expect(String((await once(made, 'data'))[0])).toMatch(/^HTTP\/1\.1 200/);
});

it('a client that ends its side in the middle of a handshake does not hold a socket', async () => {
  const { port } = await start({ peekTimeoutMs: 60_000 });
  const socket = await silent(port, { ends: true });
  await once(socket, 'close');
});
