import { Readable } from 'node:stream';
import { credentials, makeGenericClientConstructor, Metadata, type Client, type ServiceError } from '@grpc/grpc-js';
import { appendFilter, failingFilter, limitFilter, upperFilter, watchFilter } from '@weft/data-plane/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { echoServer, echoService } from '../test-support/grpc-echo.js';
import { HandMadeMesh, retryPolicy, type Service } from '../test-support/hand-made-mesh.js';
import { testServer } from '../test-support/test-server.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Filters = NonNullable<Service['filters']>;

async function http(filters: Filters, options: Partial<Service> = {}, handler?: Parameters<typeof testServer>[0]) {
  const received: { body: string; headers: Record<string, unknown> }[] = [];
  const server = await testServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      received.push({ body: Buffer.concat(chunks).toString(), headers: request.headers });
      if (handler) return handler(request, response);
      response.end(Buffer.concat(chunks));
    });
  });
  cleanups.push(() => server.close());
  const mesh = new HandMadeMesh();
  cleanups.push(() => mesh.close());
  mesh.add('payments', { ports: [server.port], filters, ...options });
  const send = async (body: unknown, path = '/') => {
    const response = await mesh.client.request(`http://payments${path}`, { method: 'POST', body: body as never });
    return { status: response.statusCode, text: await response.body.text(), headers: response.headers, trailers: response.trailers };
  };
  return { mesh, received, send };
}

describe('bodies of HTTP requests', () => {
  it.each([[false], [true]])('pass filters both ways, whatever form they have (later: %s)', async (later) => {
    const { received, send } = await http([upperFilter({ later })]);
    const form = new FormData();
    form.set('a', 'b');
    for (const body of ['abc', Buffer.from('abc'), new Blob(['abc']), Readable.from(['a', 'bc']), new TextEncoder().encode('abc').buffer]) {
      expect(await send(body)).toMatchObject({ status: 200, text: 'ABC' });
      expect(received.at(-1)).toMatchObject({ body: 'ABC' });
    }
    await send(form);
    const { headers, body } = received.at(-1)!;
    const boundary = /boundary=(.*)/.exec(String(headers['content-type']))![1]!;
    expect(body).toContain(boundary.toUpperCase());
  });

  it('keep their length where it is known and stays, and lose it where it changes', async () => {
    const seen = { request: '', response: '' };
    const watched = await http([watchFilter(seen)]);
    expect((await watched.send('abc')).headers).toMatchObject({ 'content-length': '3' });
    expect(watched.received[0]!.headers).toMatchObject({ 'content-length': '3' });
    expect(seen).toEqual({ request: 'abc', response: 'abc' });
    const changed = await http([appendFilter('!')]);
    const response = await changed.send('abc');
    expect([response.text, response.headers['content-length']]).toEqual(['abc!!', undefined]);
    expect(changed.received[0]).toMatchObject({ body: 'abc!', headers: { 'transfer-encoding': 'chunked' } });
  });

  it('pass in the order of the list, responses in reverse', async () => {
    const { send, received } = await http([appendFilter('a'), upperFilter(), { ...appendFilter('b'), name: 'b' }]);
    expect((await send('x')).text).toBe('XABBa');
    expect(received[0]!.body).toBe('XAb');
  });

  it('are sent again as filters left them, without asking filters again', async () => {
    const seen = { request: '', response: '' };
    let failures = 1;
    const { received, send } = await http([watchFilter(seen), upperFilter({ later: true })], { retryPolicy: retryPolicy(['5xx']) }, (_request, response) => void response.writeHead(failures-- > 0 ? 503 : 200).end());
    expect(await send(Readable.from(['ab', 'c']))).toMatchObject({ status: 200 });
    expect(received.map(({ body }) => body)).toEqual(['ABC', 'ABC']);
    expect(seen.request).toBe('abc');
  });

  it('that are in memory anyway are sent again however long they are', async () => {
    let failures = 1;
    const { received, send } = await http([watchFilter({ request: '', response: '' })], { retryPolicy: retryPolicy(['5xx']) }, (_request, response) => void response.writeHead(failures-- > 0 ? 503 : 200).end());
    expect((await send(Buffer.alloc(500_000, 'a'))).status).toBe(200);
    expect(received.map(({ body }) => body.length)).toEqual([500_000, 500_000]);
  });

  it('can be waited for: too long ones are refused, others go on', async () => {
    const { mesh, received, send } = await http([upperFilter(), limitFilter(5)]);
    expect(await send('abc')).toMatchObject({ status: 200, text: 'ABC' });
    expect(received[0]!.headers['x-length']).toBe('3');
    // The reply's own body passes filters too.
    expect(await send(Readable.from(['abcd', 'ef']))).toMatchObject({ status: 413, text: 'TOO LONG' });
    expect(received.length).toBe(1);
    expect(mesh.ended.map(({ responseCodeDetails }) => responseCodeDetails)).toEqual(['via_upstream', 'too_long']);
  });

  it('of a request that fails before it is sent tell the caller why', async () => {
    const { send, received } = await http([limitFilter(5)]);
    const broken = async function* () { yield 'a'; throw new Error('disk gone'); };
    await expect(send(broken())).rejects.toThrow('disk gone');
    expect(received).toEqual([]);
  });

  it.each([[false], [true]])('at a filter that fails end the request (later: %s)', async (later) => {
    const request = await http([failingFilter('decodeBody', later)]);
    await expect(request.send('abc')).rejects.toThrow('broken filter');
    const response = await http([failingFilter('encodeBody', later)]);
    await expect(response.send('abc')).rejects.toThrow('broken filter');
    expect(request.received.length).toBe(0);
  });

  it('hold the sender where a filter or the caller waits', async () => {
    const { mesh } = await http([upperFilter({ later: true })], {}, (_request, response) => {
      for (let i = 0; i < 64; i++) response.write(Buffer.alloc(65_536, 'a'));
      response.end();
    });
    const { body } = await mesh.client.request('http://payments/', { method: 'POST', body: 'x' });
    await new Promise((resolve) => body.once('readable', resolve));
    let length = 0;
    for await (const chunk of body) {
      expect((chunk as Buffer).every((byte) => byte === 65)).toBe(true);
      length += (chunk as Buffer).length;
    }
    expect(length).toBe(64 * 65_536);
    await vi.waitFor(() => expect(mesh.ended.map(({ bytesReceived }) => bytesReceived)).toEqual([length]));
  });
});

const EchoClient = makeGenericClientConstructor(echoService, 'Echo');
// oxlint-disable-next-line typescript/no-explicit-any -- grpc-js's own type of a generic client's methods
type Echo = Client & Record<string, (...args: any[]) => any>;

async function grpc(filters: Filters, options: Partial<Service> = {}, echoOptions: Parameters<typeof echoServer>[0] = {}) {
  const received: string[] = [];
  const server = await echoServer({ onMessage: (_method, message) => void received.push(message), ...echoOptions });
  const mesh = new HandMadeMesh();
  mesh.add('echo', { ports: [server.port], filters, cluster: { protocol: 'http2' }, ...options });
  const client = new EchoClient('xds:///echo:80', credentials.createInsecure(), mesh.client.grpc()) as unknown as Echo;
  cleanups.push(() => server.close(), () => mesh.close(), () => client.close());
  const unary = (message: string) => new Promise<{ message: string; trailers: Metadata }>((resolve, reject) => {
    let answer = '';
    client['Unary']!(Buffer.from(message), (error: ServiceError | null, response: Buffer) => (error ? reject(error) : (answer = String(response))))
      .on('status', ({ code, metadata: trailers }: { code: number; metadata: Metadata }) => code === 0 && resolve({ message: answer, trailers }));
  });
  return { mesh, client, unary, received, server };
}

async function collect(call: AsyncIterable<Buffer>): Promise<string[]> {
  const received: string[] = [];
  for await (const message of call) received.push(String(message));
  return received;
}

describe('messages of gRPC calls', () => {
  it.each([[false], [true]])('of all four kinds pass filters both ways (later: %s)', async (later) => {
    const seen = { request: '', response: '' };
    const { client, unary, received } = await grpc([upperFilter({ later }), watchFilter(seen)]);
    const { message, trailers } = await unary('abc');
    expect([message, received, trailers.get('x-upper'), trailers.get('x-trailer')]).toEqual(['ABC', ['ABC'], ['yes'], ['z']]);
    expect(seen).toEqual({ request: '\0\0\0\0\x03ABC', response: '\0\0\0\0\x03ABC' });
    expect(await collect(client['ServerStream']!(Buffer.from('a,b,c')))).toEqual(['A', 'B', 'C']);
    expect(await new Promise((resolve, reject) => {
      const call = client['ClientStream']!((error: ServiceError | null, response: Buffer) => (error ? reject(error) : resolve(String(response))));
      for (const part of ['a', 'b', 'c']) call.write(Buffer.from(part));
      call.end();
    })).toBe('A,B,C');
    const bidi = client['Bidi']!();
    const answers = collect(bidi);
    for (let i = 0; i < 50; i++) bidi.write(Buffer.from(`m${i}`));
    bidi.end();
    expect((await answers).length).toBe(50);
  });

  it('are sent again as filters left them', async () => {
    let failures = 1;
    const { unary, received, server } = await grpc([upperFilter({ later: true })], { retryPolicy: retryPolicy(['unavailable']) }, { fail: () => (failures-- > 0 ? 14 : undefined) });
    expect((await unary('abc')).message).toBe('ABC');
    expect([received, server.calls.length]).toEqual([['ABC'], 2]);
  });

  it('can be waited for: too long ones are refused', async () => {
    const { unary } = await grpc([limitFilter(10)]);
    expect((await unary('abc')).message).toBe('abc');
    await expect(unary('abcdefgh')).rejects.toMatchObject({ code: 2, details: 'too long' });
  });

  it('at a filter that fails end the call', async () => {
    await expect((await grpc([failingFilter('decodeBody')])).unary('abc')).rejects.toMatchObject({ details: 'broken filter' });
    await expect((await grpc([failingFilter('encodeBody', true)])).unary('abc')).rejects.toMatchObject({ details: 'broken filter' });
  });
});
