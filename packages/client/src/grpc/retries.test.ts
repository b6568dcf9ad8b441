// Retries, hedges and their ends over real channels, through grpc-js.
import { credentials, makeGenericClientConstructor, Metadata, status, type Client, type ServiceError } from '@grpc/grpc-js';
import { runInContext } from '@weft/data-plane/internal';
import { afterEach, expect, test, vi } from 'vitest';
import { echoServer, echoService, type EchoServer } from '../../test-support/grpc-echo.js';
import { HandMadeMesh, retryPolicy, route } from '../../test-support/hand-made-mesh.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function server(options?: Parameters<typeof echoServer>[0]): Promise<EchoServer> {
  const started = await echoServer(options);
  cleanups.push(() => started.close());
  return started;
}

const EchoClient = makeGenericClientConstructor(echoService, 'Echo');
// oxlint-disable-next-line typescript/no-explicit-any -- grpc-js's own type of a generic client's methods
type Echo = Client & Record<string, (...args: any[]) => any>;

function client(add: Parameters<HandMadeMesh['add']>[1]): { echo: Echo; made: HandMadeMesh } {
  const made = new HandMadeMesh().add('echo', add);
  cleanups.push(() => made.close());
  const echo = new EchoClient('xds:///echo:80', credentials.createInsecure(), made.client.grpc()) as unknown as Echo;
  cleanups.push(() => echo.close());
  return { echo, made };
}

function unary(echo: Echo, message: string, options: object = {}) {
  let cancel = () => {};
  const done = new Promise<string>((resolve, reject) => {
    const call = echo['Unary']!(Buffer.from(message), new Metadata(), options, (error: ServiceError | null, response: Buffer) => (error ? reject(error) : resolve(String(response))));
    cancel = () => call.cancel();
  });
  return { done, cancel };
}

const cluster = 'outbound|80||echo';
const active = (made: HandMadeMesh) => made.clusters.get('echo')!.hosts.reduce((sum, host) => sum + host.activeRequests, 0);

test('the second of two attempts answers while the first is still waited for', async () => {
  const hanging = await server({ hang: true });
  const good = await server();
  const { echo, made } = client({ ports: [hanging.port, good.port], routes: [route({ cluster, hedgePolicy: { onPerTryTimeout: true }, retryPolicy: retryPolicy(['unavailable'], { perTryTimeoutMs: 100, numRetries: 1 }) })] });
  const answers = await Promise.all([unary(echo, 'a').done, unary(echo, 'b').done]);
  expect(answers).toEqual(['a', 'b']);
  await vi.waitFor(() => expect(active(made)).toBe(0));
  expect(Math.max(...made.ended.map(({ attempts }) => attempts))).toBe(2);
});

test('the answer of the late attempt is the caller\'s, messages and all', async () => {
  let other = false;
  const held: (() => void)[] = [];
  const release = () => {
    other = true;
    for (const answer of held.splice(0)) answer();
  };
  const late = await server({ hold: (answer) => (other ? answer() : void held.push(answer)) });
  const second = await server({ hang: true, onMessage: release });
  const { echo, made } = client({ ports: [late.port, second.port], routes: [route({ cluster, hedgePolicy: { onPerTryTimeout: true }, retryPolicy: retryPolicy(['unavailable'], { perTryTimeoutMs: 50, numRetries: 1 }) })] });
  // Whichever host is first: the one that holds its answers is late, or it answers at once because the other had the call before.
  const calls = await Promise.all([unary(echo, 'a').done, unary(echo, 'b').done]);
  expect(calls).toEqual(['a', 'b']);
  await vi.waitFor(() => expect(active(made)).toBe(0));
  for (const ended of made.ended) expect(ended).toMatchObject({ grpcStatus: 0, upstreamAddress: `127.0.0.1:${late.port}` });
});

test('cancelling a call ends all of its attempts', async () => {
  const hanging = await server({ hang: true });
  const { echo, made } = client({ ports: [hanging.port], routes: [route({ cluster, hedgePolicy: { onPerTryTimeout: true }, retryPolicy: retryPolicy(['unavailable'], { perTryTimeoutMs: 50, numRetries: 1 }) })] });
  const call = unary(echo, 'x');
  await vi.waitFor(() => expect(hanging.calls.length).toBe(2));
  call.cancel();
  await expect(call.done).rejects.toMatchObject({ code: status.CANCELLED });
  await vi.waitFor(() => expect(active(made)).toBe(0));
});

test('a call whose messages are more than the route lets be kept goes on and is not retried', async () => {
  const failing = await server({ fail: () => status.UNAVAILABLE });
  const { echo } = client({ ports: [failing.port], routes: [{ ...route({ cluster, retryPolicy: retryPolicy(['unavailable']) }), bufferLimitBytes: 5 }] });
  await expect(unary(echo, 'short').done).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(failing.calls.length).toBe(3);
  await expect(unary(echo, 'longer').done).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(failing.calls.length).toBe(4);
});

test('the server of a retried call learns of the attempts before', async () => {
  let failures = 1;
  const upstream = await server({ fail: () => (failures-- > 0 ? status.UNAVAILABLE : undefined) });
  const { echo } = client({ ports: [upstream.port], retryPolicy: retryPolicy(['unavailable']) });
  expect(await unary(echo, 'x').done).toBe('x');
  expect(upstream.metadata.get('grpc-previous-rpc-attempts')).toEqual(['1']);
});

test('a call ends with the inbound request that it serves: when its caller goes away, and when its time is over', async () => {
  const hanging = await server({ hang: true });
  const { echo, made } = client({ ports: [hanging.port] });
  const controller = new AbortController();
  const cancelled = runInContext({ signal: controller.signal }, () => unary(echo, 'x').done);
  await vi.waitFor(() => expect(hanging.calls.length).toBe(1));
  controller.abort(new Error('the caller went away'));
  await expect(cancelled).rejects.toMatchObject({ code: status.CANCELLED });
  const late = runInContext({ deadline: performance.now() + 1000 }, () => unary(echo, 'x', { deadline: Date.now() + 60_000 }).done);
  await expect(late).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
  expect(hanging.calls.length).toBe(2);
  await vi.waitFor(() => expect(active(made)).toBe(0));
});
