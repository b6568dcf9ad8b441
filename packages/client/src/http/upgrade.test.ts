import http, { type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { createServer, type AddressInfo } from 'node:net';
import { FakeClock } from '@weft/spiffe/testing';
import type { Dispatcher } from 'undici';
import { afterEach, expect, test, vi } from 'vitest';
import { HandMadeMesh, route } from '../../test-support/hand-made-mesh.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Answers an upgrade and says everything back, what it was greeted with first. */
async function echoServer(onUpgrade: (request: IncomingMessage, socket: Duplex) => void = (_request, socket) => socket.pipe(socket)): Promise<number> {
  const server = http.createServer((_request, response) => response.writeHead(426).end('upgrade'));
  const sockets = new Set<Duplex>();
  server.on('connection', (socket) => sockets.add(socket));
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {});
    if (request.url === '/no') return void socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno');
    // The first bytes come together with the head.
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${request.headers.upgrade}\r\nx-host: ${request.headers.host}\r\n\r\nhello `);
    if (head.length > 0) socket.unshift(head);
    onUpgrade(request, socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function mesh(options?: ConstructorParameters<typeof HandMadeMesh>[0]): HandMadeMesh {
  const made = new HandMadeMesh({ drainTimeoutMs: 100, ...options });
  cleanups.push(() => made.close());
  return made;
}

// A dispatcher of many origins takes the origin with the request, which undici's types leave out here.
function upgrade({ client }: HandMadeMesh, origin: string): Promise<Dispatcher.UpgradeData> {
  return client.dispatcher.upgrade({ origin, path: '/', protocol: 'echo' } as Dispatcher.UpgradeOptions) as unknown as Promise<Dispatcher.UpgradeData>;
}

async function until(socket: Duplex, wanted: string): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) if ((text += chunk.toString()).endsWith(wanted)) break;
  return text;
}

test('undici upgrades through the mesh: a route is chosen, bytes pass both ways and are counted', async () => {
  const port = await echoServer();
  const clock = new FakeClock();
  const made = mesh({ clock }).add('chat', { ports: [port], routes: [route({ cluster: 'outbound|80||chat', name: 'chat', timeoutMs: 50 })] });
  const { socket, headers } = await upgrade(made, 'http://chat');
  expect(headers).toMatchObject({ upgrade: 'echo', 'x-host': 'chat' });
  socket.write('there');
  expect(await until(socket, 'there')).toBe('hello there');
  // The route's timeout is long over: it ended with the 101.
  clock.advance(1000);
  expect(socket.destroyed).toBe(false);
  expect(made.clusters.get('chat')!.hosts[0]!.activeRequests).toBe(1);
  socket.end();
  await vi.waitFor(() => expect(made.ended).toHaveLength(1));
  expect(made.ended[0]).toMatchObject({ routeName: 'chat', status: 101, bytesSent: 5, bytesReceived: 11, flags: [] });
  expect(made.clusters.get('chat')!.hosts[0]!.activeRequests).toBe(0);
});

test('what neither the route nor the listener names is refused, a refusal of the host is an answer', async () => {
  const port = await echoServer();
  const cluster = 'outbound|80||chat';
  const routes = [route({ cluster, prefix: '/off', upgrades: new Map([['echo', false]]) }), route({ cluster, prefix: '/own', upgrades: new Map([['other', true]]) }), route({ cluster })];
  const { client } = mesh().add('chat', { ports: [port], routes });
  const ask = (path: string, upgrade: string) => new Promise<IncomingMessage>((resolve, reject) => {
    http.get({ host: 'chat', path, agent: client.agent, headers: { connection: 'Upgrade', upgrade } }).on('response', resolve).on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response);
    }).on('error', reject);
  });
  expect((await ask('/', 'other')).statusCode).toBe(403);
  expect((await ask('/off', 'echo')).statusCode).toBe(403);
  expect((await ask('/own', 'Other')).statusCode).toBe(101);
  expect((await ask('/own', 'echo')).statusCode).toBe(101);
  expect((await ask('/no', 'echo')).statusCode).toBe(401);
});

test('node:http upgrades through the agent, with back-pressure and half-close', async () => {
  let received = 0;
  const port = await echoServer((_request, socket) => {
    // Reads nothing until told; then counts to the end, and says the sum.
    socket.once('readable', () => {});
    cleanups.push(() => socket.destroy());
    server.socket = socket;
  });
  const server: { socket: Duplex | undefined } = { socket: undefined };
  const made = mesh().add('chat', { ports: [port] });
  const request = http.get({ host: 'chat', agent: made.client.agent, headers: { connection: 'Upgrade', upgrade: 'echo' } });
  const [response, socket] = (await once(request, 'upgrade')) as [IncomingMessage, Duplex];
  expect([response.statusCode, response.headers['x-host']]).toEqual([101, 'chat']);
  let sent = 0;
  const chunk = Buffer.alloc(65_536);
  const pump = () => {
    while (sent < 64 * 1024 * 1024) {
      sent += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  socket.on('drain', pump);
  pump();
  let before = -1;
  await vi.waitFor(() => {
    const stopped = sent === before;
    before = sent;
    expect(stopped).toBe(true);
  }, { interval: 100 });
  expect(sent).toBeLessThan(32 * 1024 * 1024);
  socket.off('drain', pump);
  server.socket!.on('data', (data: Buffer) => (received += data.length)).on('end', () => server.socket!.end(`got ${received}`));
  socket.end();
  expect(await until(socket, `got ${sent}`)).toContain(`got ${sent}`);
});

test('a connection that nobody uses is closed after the idle timeout; closing the mesh closes what is left', async () => {
  const port = await echoServer();
  const made = mesh().add('chat', { ports: [port], idleTimeoutMs: 1000 }).add('long', { ports: [port] });
  const idle = await upgrade(made, 'http://chat');
  await once(idle.socket.resume(), 'close');
  const left = await upgrade(made, 'http://long');
  left.socket.on('error', () => {});
  const closed = once(left.socket.resume(), 'close').catch(() => undefined);
  await made.client.close();
  await closed;
  expect(left.socket.destroyed).toBe(true);
});

test('a host that hangs up before its answer fails the upgrade', async () => {
  const server = createServer((socket) => socket.once('data', () => socket.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const made = mesh().add('chat', { ports: [(server.address() as AddressInfo).port] });
  await expect(upgrade(made, 'http://chat')).rejects.toThrow('bad upgrade');
  expect(made.ended[0]).toMatchObject({ status: 503, flags: ['UC'] });
});
