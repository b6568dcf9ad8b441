// Mirrored requests through both adapters, with real sockets.
import { Readable } from 'node:stream';
import { credentials, makeGenericClientConstructor, type Client, type ServiceError } from '@grpc/grpc-js';
import { afterEach, expect, test, vi } from 'vitest';
import { echoServer, echoService } from '../test-support/grpc-echo.js';
import { HandMadeMesh, route } from '../test-support/hand-made-mesh.js';
import { closedPort, testServer } from '../test-support/test-server.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** `payments`, mirrored to `mirror`. */
function mesh(port: number, mirrorPort: number, options: ConstructorParameters<typeof HandMadeMesh>[0] = {}): HandMadeMesh {
  const made = new HandMadeMesh(options).add('mirror', { ports: [mirrorPort] });
  made.add('payments', { ports: [port], routes: [route({ cluster: 'outbound|80||payments', mirrors: [{ cluster: 'outbound|80||mirror' }] })], clusters: ['mirror'] });
  cleanups.push(() => made.close());
  return made;
}

async function server(received: string[], status = 200) {
  const started = await testServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      received.push(`${request.headers.host} ${request.method} ${request.url} ${Buffer.concat(chunks).toString()}`);
      response.writeHead(status).end('x'.repeat(100_000));
    });
  });
  cleanups.push(() => started.close());
  return started;
}

test('HTTP bodies of every kind reach the mirror whole, and its answers nobody', async () => {
  const received: string[] = [];
  const mirrored: string[] = [];
  const made = mesh((await server(received)).port, (await server(mirrored, 500)).port);
  const bodies = [undefined, 'abcd', Buffer.from('abcd'), Readable.from(['ab', 'cd'])];
  for (const body of bodies) {
    const response = await made.client.request('http://payments/a?b', { method: 'POST', ...(body && { body }) });
    expect([response.statusCode, (await response.body.text()).length]).toEqual([200, 100_000]);
  }
  await (await made.client.fetch('http://payments/fetch', { method: 'POST', body: 'f' })).text();
  const expected = ['POST /a?b ', 'POST /a?b abcd', 'POST /a?b abcd', 'POST /a?b abcd', 'POST /fetch f'];
  await vi.waitFor(() => expect(mirrored).toHaveLength(5));
  expect(mirrored.toSorted()).toEqual(expected.map((line) => `payments-shadow ${line}`));
  expect(received.toSorted()).toEqual(expected.map((line) => `payments ${line}`));
  await vi.waitFor(() => expect(made.clusters.get('mirror')!.hosts[0]!.activeRequests).toBe(0));
  expect(made.ended.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
});

test('an HTTP body longer than the replay buffer is not mirrored', async () => {
  const mirrored: string[] = [];
  const made = mesh((await server([])).port, (await server(mirrored)).port, { replayBytes: 3 });
  await (await made.client.request('http://payments/long', { method: 'POST', body: Readable.from(['ab', 'cd']) })).body.text();
  await (await made.client.request('http://payments/short', { method: 'POST', body: Readable.from(['ab', 'c']) })).body.text();
  await vi.waitFor(() => expect(mirrored).toEqual(['payments-shadow POST /short abc']));
});

test('a mirror that refuses connections or hangs is noticed by nobody, not even by close()', async () => {
  const { port } = await server([]);
  const refusing = mesh(port, await closedPort());
  const answer = await refusing.client.request('http://payments/');
  expect([answer.statusCode, (await answer.body.text()).length]).toEqual([200, 100_000]);
  const hanging = await testServer(() => {});
  cleanups.push(() => hanging.close());
  const made = mesh(port, hanging.port);
  const response = await made.client.request('http://payments/');
  await response.body.text();
  await vi.waitFor(() => expect(hanging.requests).toBe(1));
  await made.client.close();
  expect(made.clusters.get('mirror')!.hosts[0]!.activeRequests).toBe(0);
  await vi.waitFor(() => expect(hanging.open).toBe(0));
});

// oxlint-disable-next-line typescript/no-explicit-any -- grpc-js's own type of a generic client's methods
type Echo = Client & Record<string, (...args: any[]) => any>;

function echo(made: HandMadeMesh): Echo {
  const EchoClient = makeGenericClientConstructor(echoService, 'Echo');
  const client = new EchoClient('payments:80', credentials.createInsecure(), made.client.grpc()) as unknown as Echo;
  cleanups.push(() => client.close());
  return client;
}

function unary(client: Echo, message: string): Promise<string> {
  return new Promise((resolve, reject) => client['Unary']!(Buffer.from(message), (error: ServiceError | null, answer: Buffer) => (error ? reject(error) : resolve(String(answer)))));
}

function bidi(client: Echo, messages: readonly (string | Buffer)[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const call = client['Bidi']!();
    const received: string[] = [];
    // One by one: the response has long begun when the request ends.
    let next = 0;
    const write = () => (next < messages.length ? call.write(Buffer.from(messages[next++]!)) : call.end());
    call.on('data', (message: Buffer) => {
      received.push(String(message));
      write();
    }).on('end', () => resolve(received)).on('error', reject);
    write();
  });
}

test('gRPC calls, unary and streamed, reach the mirror whole; its status reaches nobody', async () => {
  const received: string[] = [];
  const upstream = await echoServer({ onMessage: (name, message) => received.push(`${name} ${message}`) });
  const mirrored: string[] = [];
  let failing = 0;
  const mirror = await echoServer({ onMessage: (name, message) => mirrored.push(`${name} ${message}`), fail: () => (failing++ % 2 === 0 ? 14 : undefined) });
  cleanups.push(() => upstream.close(), () => mirror.close());
  const made = mesh(upstream.port, mirror.port);
  const client = echo(made);
  for (const message of ['a', 'b']) expect(await unary(client, message)).toBe(message);
  for (let i = 0; i < 2; i++) expect(await bidi(client, ['1', '2', '3'])).toEqual(['1', '2', '3']);
  await vi.waitFor(() => expect(mirror.calls).toHaveLength(4));
  await vi.waitFor(() => expect(mirrored.filter((line) => line.startsWith('Bidi')).toSorted()).toEqual(['Bidi 1', 'Bidi 2', 'Bidi 3']));
  expect(upstream.calls).toHaveLength(4);
  await vi.waitFor(() => expect(made.clusters.get('mirror')!.hosts[0]!.activeRequests).toBe(0));
  expect(made.ended.map(({ grpcStatus }) => grpcStatus)).toEqual([0, 0, 0, 0]);
});

test('a gRPC stream longer than the replay buffer is not mirrored, and passes untouched', async () => {
  const upstream = await echoServer();
  const mirror = await echoServer();
  cleanups.push(() => upstream.close(), () => mirror.close());
  const client = echo(mesh(upstream.port, mirror.port));
  const half = Buffer.alloc(600_000, 'x');
  expect((await bidi(client, [half, half, 'end'])).map(({ length }) => length)).toEqual([600_000, 600_000, 3]);
  await unary(client, 'after');
  await vi.waitFor(() => expect(mirror.calls).toEqual(['Unary']));
});

test('closing ends a gRPC mirror that hangs', async () => {
  const upstream = await echoServer();
  const mirror = await echoServer({ hang: true });
  cleanups.push(() => upstream.close(), () => mirror.close());
  const made = mesh(upstream.port, mirror.port);
  await unary(echo(made), 'x');
  await vi.waitFor(() => expect(mirror.calls).toHaveLength(1));
  await made.client.close();
  expect(made.clusters.get('mirror')!.hosts[0]!.activeRequests).toBe(0);
});
