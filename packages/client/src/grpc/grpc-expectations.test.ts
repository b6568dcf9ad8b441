// What a user of grpc-js is used to, beside a bare client of the same server where the two can be compared.
import { connectivityState, credentials, makeGenericClientConstructor, Metadata, status, type Client, type ServiceError } from '@grpc/grpc-js';
import { afterEach, expect, test, vi } from 'vitest';
import { echoServer, echoService } from '../../test-support/grpc-echo.js';
import { HandMadeMesh, retryPolicy } from '../../test-support/hand-made-mesh.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const EchoClient = makeGenericClientConstructor(echoService, 'Echo');
// oxlint-disable-next-line typescript/no-explicit-any -- grpc-js's own type of a generic client's methods
type Echo = Client & Record<string, (...args: any[]) => any>;

async function start(options: Parameters<typeof echoServer>[0] = {}) {
  const upstream = await echoServer(options);
  const mesh = new HandMadeMesh().add('echo', { ports: [upstream.port], retryPolicy: { ...retryPolicy(['unavailable']), backoff: { baseMs: 60_000, maxMs: 60_000 } } });
  const client = new EchoClient('echo:80', credentials.createInsecure(), mesh.client.grpc()) as unknown as Echo;
  const bare = new EchoClient(`127.0.0.1:${upstream.port}`, credentials.createInsecure()) as unknown as Echo;
  cleanups.push(() => upstream.close(), () => mesh.close(), () => client.close(), () => bare.close());
  return { upstream, mesh, client, bare };
}

/** Nothing is known of the service until `answer` is called. */
function unanswered(mesh: HandMadeMesh): { answer(): void } {
  const { snapshot } = mesh.states.get('echo:80')!;
  const waiting = new Set<() => void>();
  const state = {
    snapshot: undefined as typeof snapshot,
    state: 'pending' as 'pending' | 'ready',
    wait: (signal?: AbortSignal) => new Promise<void>((resolve, reject) => {
      waiting.add(resolve);
      signal?.addEventListener('abort', () => reject(signal.reason as Error));
    }),
  };
  mesh.states.set('echo:80', state);
  return {
    answer() {
      Object.assign(state, { snapshot, state: 'ready' });
      for (const resolve of waiting) resolve();
    },
  };
}

const outcome = (client: Echo, message: Buffer | string, metadata = new Metadata(), options: object = {}) => new Promise<{ code: number; details: string; length: number }>((resolve) => {
  client['Unary']!(Buffer.from(message), metadata, options, (error: ServiceError | null, response?: Buffer) => resolve({ code: error?.code ?? 0, details: error?.details ?? '', length: response?.length ?? 0 }));
});

const ended = (call: { on(event: 'status', use: (status: { code: number }) => void): { on(event: 'error', use: () => void): void } }) => new Promise<number>((resolve) => call.on('status', ({ code }) => resolve(code)).on('error', () => {}));

test('the state of the channel follows what is known of the service', async () => {
  const { mesh, client } = await start();
  const state = () => client.getChannel().getConnectivityState(false);
  expect(state()).toBe(connectivityState.READY);
  const config = unanswered(mesh);
  expect(state()).toBe(connectivityState.CONNECTING);
  const changed = new Promise<unknown>((resolve) => client.getChannel().watchConnectivityState(connectivityState.CONNECTING, Date.now() + 5000, resolve));
  config.answer();
  expect([await changed, state()]).toEqual([undefined, connectivityState.READY]);
  mesh.states.delete('echo:80');
  expect(state()).toBe(connectivityState.TRANSIENT_FAILURE);
  client.close();
  expect(state()).toBe(connectivityState.SHUTDOWN);
  expect(() => client['Unary']!(Buffer.from('x'), () => {})).toThrow('Channel has been shut down');
});

test('waitForReady gives up at its deadline', async () => {
  const { mesh, client } = await start();
  unanswered(mesh);
  expect(await new Promise<Error | undefined>((resolve) => client.waitForReady(Date.now() + 50, resolve))).toBeInstanceOf(Error);
});

test('the deadline counts while the configuration is waited for', async () => {
  const { mesh, client, upstream } = await start();
  const config = unanswered(mesh);
  expect((await outcome(client, 'x', new Metadata(), { deadline: Date.now() + 50 })).code).toBe(status.DEADLINE_EXCEEDED);
  config.answer();
  expect(await outcome(client, 'y')).toMatchObject({ code: 0 });
  expect(upstream.calls).toEqual(['Unary']);
});

test('a deadline that has passed already ends the call without reaching the server', async () => {
  const { client, upstream } = await start();
  expect((await outcome(client, 'x', new Metadata(), { deadline: Date.now() - 1 })).code).toBe(status.DEADLINE_EXCEEDED);
  expect(upstream.calls).toEqual([]);
});

test('closing the client lets calls that run finish', async () => {
  const { client } = await start();
  const call = client['Bidi']!();
  const received: string[] = [];
  call.on('data', (message: Buffer) => received.push(String(message)));
  const status = ended(call);
  call.write(Buffer.from('1'));
  await vi.waitFor(() => expect(received).toEqual(['1']));
  client.close();
  call.write(Buffer.from('2'));
  call.end();
  expect([await status, received]).toEqual([0, ['1', '2']]);
});

test('closing the mesh ends calls that do not finish in time', async () => {
  const { upstream } = await start();
  const mesh = new HandMadeMesh({ drainTimeoutMs: 50 }).add('echo', { ports: [upstream.port] });
  const client = new EchoClient('echo:80', credentials.createInsecure(), mesh.client.grpc()) as unknown as Echo;
  cleanups.push(() => client.close());
  const result = outcome(client, 'hang');
  await vi.waitFor(() => expect(upstream.calls).toEqual(['Unary']));
  await mesh.close();
  expect((await result).code).toBe(status.UNAVAILABLE);
});

test('a call can be cancelled while its service is looked up', async () => {
  const { mesh, client, upstream } = await start();
  const config = unanswered(mesh);
  const call = client['Unary']!(Buffer.from('x'), () => {});
  const code = ended(call);
  call.cancel();
  expect(await code).toBe(status.CANCELLED);
  config.answer();
  await outcome(client, 'y');
  expect(upstream.calls).toEqual(['Unary']);
});

test('a call can be cancelled while a retry waits for its back-off', async () => {
  const { mesh, client, upstream } = await start({ fail: () => status.UNAVAILABLE });
  const call = client['Unary']!(Buffer.from('x'), () => {});
  const code = ended(call);
  const { hosts } = mesh.clusters.get('echo')!;
  await vi.waitFor(() => expect([upstream.calls.length, hosts[0]!.activeRequests]).toEqual([1, 0]));
  call.cancel();
  expect([await code, upstream.calls.length]).toEqual([status.CANCELLED, 1]);
  await vi.waitFor(() => expect(mesh.ended.length).toBe(1));
});

test('a call can be cancelled in the middle of its response', async () => {
  const { mesh, client } = await start();
  const call = client['Bidi']!();
  const code = ended(call);
  call.write(Buffer.from('1'));
  await new Promise((resolve) => call.once('data', resolve));
  call.cancel();
  expect(await code).toBe(status.CANCELLED);
  expect(mesh.clusters.get('echo')!.hosts[0]!.activeRequests).toBe(0);
});

test('cancelling a call that is over changes nothing', async () => {
  const { mesh, client } = await start();
  const call = client['Unary']!(Buffer.from('x'), () => {});
  expect(await ended(call)).toBe(0);
  call.cancel();
  expect(mesh.ended.map(({ flags, grpcStatus }) => [flags, grpcStatus])).toEqual([[[], 0]]);
});

test('large metadata passes, and too large metadata fails for the reason a bare client names', async () => {
  const { client, bare, upstream } = await start();
  const large = new Metadata();
  large.set('x-large', 'x'.repeat(6000));
  expect((await outcome(client, 'x', large)).code).toBe(0);
  expect(String(upstream.metadata.get('x-large')).length).toBe(6000);
  const huge = new Metadata();
  huge.set('x-huge', 'x'.repeat(200_000));
  // A reset before the response is UNAVAILABLE in the mesh, as behind Envoy; the reason is grpc-js's own.
  const [own, expected] = [await outcome(client, 'x', huge), await outcome(bare, 'x', huge)];
  expect(own).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining(expected.details) as string });
  expect((await outcome(client, 'x')).code).toBe(0);
});

test('messages up to 4 MiB are received, longer ones are refused as by a bare client', async () => {
  // The server takes more than it may send back to clients with defaults.
  const { client, bare } = await start({ maxMessageBytes: 16 * 1024 * 1024 });
  const most = 4 * 1024 * 1024;
  expect(await outcome(client, Buffer.alloc(most))).toMatchObject({ code: 0, length: most });
  const [own, expected] = [await outcome(client, Buffer.alloc(most + 1)), await outcome(bare, Buffer.alloc(most + 1))];
  expect(expected.code).toBe(status.RESOURCE_EXHAUSTED);
  expect(own).toEqual(expected);
});

test('the server\'s own limit is the server\'s own status', async () => {
  const { client, bare } = await start();
  const long = Buffer.alloc(4 * 1024 * 1024 + 1);
  const [own, expected] = [await outcome(client, long), await outcome(bare, long)];
  expect(expected.code).toBe(status.RESOURCE_EXHAUSTED);
  expect(own.code).toBe(expected.code);
});
