import { credentials, makeGenericClientConstructor, Metadata, status, type Client, type ServiceError } from '@grpc/grpc-js';
import { MeshServerCredentials, TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { afterEach, expect, test, vi } from 'vitest';
import { echoServer, echoService, type EchoServer } from '../../test-support/grpc-echo.js';
import { HandMadeMesh, retryPolicy, route } from '../../test-support/hand-made-mesh.js';
import { closedPort } from '../../test-support/test-server.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function server(options?: Parameters<typeof echoServer>[0]): Promise<EchoServer> {
  const started = await echoServer(options);
  cleanups.push(() => started.close());
  return started;
}

function mesh(options?: ConstructorParameters<typeof HandMadeMesh>[0]): HandMadeMesh {
  const made = new HandMadeMesh(options);
  cleanups.push(() => made.close());
  return made;
}

const EchoClient = makeGenericClientConstructor(echoService, 'Echo');
// oxlint-disable-next-line typescript/no-explicit-any -- grpc-js's own type of a generic client's methods
type Echo = Client & Record<string, (...args: any[]) => any>;

function echo(made: HandMadeMesh, target = 'xds:///echo:80', options: object = {}): Echo {
  const client = new EchoClient(target, credentials.createInsecure(), { ...made.client.grpc(), ...options }) as unknown as Echo;
  cleanups.push(() => client.close());
  return client;
}

function unary(client: Echo, message: string, metadata = new Metadata(), options: object = {}): Promise<{ message: string; initial: Metadata; trailers: Metadata }> {
  return new Promise((resolve, reject) => {
    let initial = new Metadata();
    let answer = '';
    client['Unary']!(Buffer.from(message), metadata, options, (error: ServiceError | null, response: Buffer) => (error ? reject(error) : (answer = String(response))))
      .on('metadata', (received: Metadata) => (initial = received))
      .on('status', ({ code, metadata: trailers }: { code: number; metadata: Metadata }) => code === 0 && resolve({ message: answer, initial, trailers }));
  });
}

function clientStream(client: Echo, messages: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = client['ClientStream']!((error: ServiceError | null, response: Buffer) => (error ? reject(error) : resolve(String(response))));
    for (const message of messages) call.write(Buffer.from(message));
    call.end();
  });
}

async function collect(call: AsyncIterable<Buffer>): Promise<string[]> {
  const received: string[] = [];
  for await (const message of call) received.push(String(message));
  return received;
}

function bidi(client: Echo, messages: string[]): Promise<string[]> {
  const call = client['Bidi']!();
  for (const message of messages) call.write(Buffer.from(message));
  call.end();
  return collect(call);
}

test('all four kinds of calls, with metadata both ways', async () => {
  const { port } = await server();
  const made = mesh().add('echo', { ports: [port] });
  const client = echo(made);
  const metadata = new Metadata();
  metadata.add('x-request', '1');
  metadata.add('x-data-bin', Buffer.from([1, 2, 3]));
  const result = await unary(client, 'hello', metadata);
  expect([result.message, result.initial.get('x-initial'), result.initial.get('x-bin-bin'), result.trailers.get('x-trailer')]).toEqual(['hello', ['a'], [Buffer.from([1, 2])], ['z']]);
  expect(await clientStream(client, ['a', 'b', 'c'])).toBe('a,b,c');
  expect(await collect(client['ServerStream']!(Buffer.from('x,y,z')))).toEqual(['x', 'y', 'z']);
  expect(await bidi(client, ['1', '2', '3'])).toEqual(['1', '2', '3']);
  await vi.waitFor(() => expect(made.ended.map(({ protocol, grpcStatus, clusterName }) => [protocol, grpcStatus, clusterName])).toEqual(Array.from({ length: 4 }, () => ['grpc', 0, 'outbound|80||echo'])));
  expect(made.clusters.get('echo')!.hosts[0]!.activeRequests).toBe(0);
});

test('the server sees what the client sent, binary metadata too', async () => {
  const upstream = await server();
  const client = echo(mesh().add('echo', { ports: [upstream.port] }));
  const metadata = new Metadata();
  metadata.add('x-request', '1');
  metadata.add('x-data-bin', Buffer.from([0xff, 0]));
  await unary(client, 'hello', metadata);
  expect([upstream.metadata.get('x-request'), upstream.metadata.get('x-data-bin')]).toEqual([['1'], [Buffer.from([0xff, 0])]]);
});

test('every kind of call is replayed whole after a retriable status', async () => {
  let n = 0;
  const upstream = await server({ fail: () => (++n % 2 === 1 ? status.UNAVAILABLE : undefined) });
  const made = mesh().add('echo', { ports: [upstream.port], retryPolicy: retryPolicy(['unavailable']) });
  const client = echo(made);
  expect((await unary(client, 'hello')).message).toBe('hello');
  expect(await clientStream(client, ['a', 'b', 'c', 'd', 'e'])).toBe('a,b,c,d,e');
  expect(await collect(client['ServerStream']!(Buffer.from('x,y,z')))).toEqual(['x', 'y', 'z']);
  expect(await bidi(client, ['1', '2', '3'])).toEqual(['1', '2', '3']);
  await vi.waitFor(() => expect(made.ended.map(({ attempts, grpcStatus }) => [attempts, grpcStatus])).toEqual(Array.from({ length: 4 }, () => [2, 0])));
});

test('a host that is gone is retried elsewhere', async () => {
  const alive = await server();
  const client = echo(mesh().add('echo', { ports: [await closedPort(), alive.port], retryPolicy: retryPolicy(['connect-failure']) }));
  for (let i = 0; i < 6; i++) expect((await unary(client, 'hello')).message).toBe('hello');
});

test('without a retry policy the failure is UNAVAILABLE with the reason', async () => {
  const made = mesh().add('echo', { ports: [await closedPort()] });
  await expect(unary(echo(made), 'hello')).rejects.toMatchObject({ code: status.UNAVAILABLE, details: expect.stringMatching(/upstream connect error.*ECONNREFUSED/) as string });
  expect(made.ended[0]).toMatchObject({ flags: ['UF'], grpcStatus: 14 });
});

test('statuses of the server are passed on as they are', async () => {
  const upstream = await server({ fail: () => status.NOT_FOUND });
  const client = echo(mesh().add('echo', { ports: [upstream.port], retryPolicy: retryPolicy(['unavailable']) }));
  await expect(unary(client, 'hello')).rejects.toMatchObject({ code: status.NOT_FOUND, details: 'failed with 5' });
  expect(upstream.calls.length).toBe(1);
});

test('the deadline ends a call and is told to the server', async () => {
  const upstream = await server();
  const made = mesh().add('echo', { ports: [upstream.port] });
  const client = echo(made);
  await expect(unary(client, 'hang', new Metadata(), { deadline: Date.now() + 200 })).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
  await vi.waitFor(() => expect(made.ended.length).toBe(1));
  expect(made.clusters.get('echo')!.hosts[0]!.activeRequests).toBe(0);
});

test('the route timeout ends a call with UNAVAILABLE, as Envoy does', async () => {
  const upstream = await server();
  const client = echo(mesh().add('echo', { ports: [upstream.port], routes: [route({ cluster: 'outbound|80||echo', timeoutMs: 100 })] }));
  await expect(unary(client, 'hang')).rejects.toMatchObject({ code: status.UNAVAILABLE, details: 'upstream request timeout' });
});

test('cancelling ends the call at once', async () => {
  const upstream = await server();
  const made = mesh().add('echo', { ports: [upstream.port] });
  const call = echo(made)['Unary']!(Buffer.from('hang'), () => {});
  const ended = new Promise<{ code: number }>((resolve) => call.on('status', resolve));
  await vi.waitFor(() => expect(upstream.calls.length).toBe(1));
  call.cancel();
  expect((await ended).code).toBe(status.CANCELLED);
  expect(made.ended[0]!.flags).toEqual(['DC']);
});

test('an unknown service is UNAVAILABLE, and TLS credentials for one of the mesh are refused', async () => {
  const made = mesh().add('echo', { ports: [1] });
  await expect(unary(echo(made, 'xds:///nobody:80'), 'hello')).rejects.toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('no such service') as string });
  const client = new EchoClient('echo:80', credentials.createSsl(), made.client.grpc()) as unknown as Echo;
  cleanups.push(() => client.close());
  expect(() => client['Unary']!(Buffer.from('x'), () => {})).toThrow('the mesh encrypts by itself');
});

test('names outside of the mesh go to an ordinary channel', async () => {
  const { port } = await server();
  const client = echo(mesh(), `127.0.0.1:${port}`);
  expect((await unary(client, 'hello')).message).toBe('hello');
  await expect(unary(echo(mesh({ outboundTrafficPolicy: 'REGISTRY_ONLY' }), `127.0.0.1:${port}`), 'hello')).rejects.toMatchObject({ code: status.UNAVAILABLE });
});

test('who dials xds: means the mesh, whatever the name is: it never goes to an ordinary channel, which could not resolve it', async () => {
  const made = mesh();
  const gone = unary(echo(made, 'xds:///payments.example.com:80'), 'hello');
  await expect(gone).rejects.toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('no such service') as string });
});

test('calls wait for the configuration of their service, and waitForReady with them', async () => {
  const { port } = await server();
  const made = mesh().add('echo', { ports: [port] });
  const { snapshot } = made.states.get('echo:80')!;
  let known = () => {};
  const waiting = new Promise<void>((resolve) => (known = resolve));
  const state = { snapshot: undefined as typeof snapshot, state: 'pending' as 'pending' | 'ready', wait: () => waiting };
  made.states.set('echo:80', state);
  const client = echo(made);
  const calls = [unary(client, 'hello').then(({ message }) => message), clientStream(client, ['a', 'b'])];
  const ready = new Promise<unknown>((resolve) => client.waitForReady(Date.now() + 5000, resolve));
  Object.assign(state, { snapshot, state: 'ready' });
  known();
  expect(await Promise.all(calls)).toEqual(['hello', 'a,b']);
  expect(await ready).toBeUndefined();
});

test('a message above the limit of the channel is refused', async () => {
  const { port } = await server();
  const client = echo(mesh().add('echo', { ports: [port] }), 'echo:80', { 'grpc.max_receive_message_length': 10 });
  await expect(unary(client, 'x'.repeat(11))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect((await unary(client, 'x'.repeat(10))).message.length).toBe(10);
});

test('call credentials given with a call are sent', async () => {
  const upstream = await server();
  const client = echo(mesh().add('echo', { ports: [upstream.port] }));
  const token = credentials.createFromMetadataGenerator((_context, callback) => callback(null, Metadata.fromHttp2Headers({ authorization: 'Bearer t' })));
  await unary(client, 'hello', new Metadata(), { credentials: token });
  expect(upstream.metadata.get('authorization')).toEqual(['Bearer t']);
});

test('mutual TLS with the identity that is expected, and with no other', async () => {
  const authority = TestAuthority.create('cluster.local');
  const serverTls = new TlsContexts(authority.source('/ns/shop/sa/echo'));
  const serverCredentials = new MeshServerCredentials(serverTls, { requireClientCertificate: true });
  const upstream = await server({ credentials: serverCredentials });
  const service = (spiffeId: string) => ({
    ports: [upstream.port], endpoint: () => ({ spiffeId, metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } } }),
    cluster: { transportSockets: [{ name: 'tlsMode-istio', match: { tlsMode: 'istio' }, tls: { identityProvider: 'default', rootProvider: 'default', subjectAltNames: [], alpn: ['h2'], sni: 'outbound_.80_._.echo' } }] },
  });
  const source = authority.source('/ns/shop/sa/web');
  const made = mesh({ tls: new TlsContexts(source) }).add('echo', service('spiffe://cluster.local/ns/shop/sa/echo')).add('other', service('spiffe://cluster.local/ns/shop/sa/other'));
  const client = echo(made);
  expect((await unary(client, 'hello')).message).toBe('hello');
  await expect(unary(echo(made, 'other:80'), 'hello')).rejects.toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('the peer is spiffe://cluster.local/ns/shop/sa/echo') as string });
  expect(made.ended.at(-1)!.localReply!.error).toMatchObject({ code: 'WEFT_PEER_IDENTITY' });
  const running = bidi(client, ['1', '2']);
  source.set(authority.svid('/ns/shop/sa/web'), source.current()!.bundles);
  expect(await running).toEqual(['1', '2']);
  expect((await unary(client, 'again')).message).toBe('again');
});
