import { request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import express from 'express';
import fastify from 'fastify';
import grpc from '@grpc/grpc-js';
import { appendFilter, failingFilter, limitFilter, testFilter, upperFilter, watchFilter, type TestListener } from '@weft/data-plane/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { testMesh, type TestMesh } from './testing.js';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0).reverse()) await item.close();
});

function start(filters: TestListener['filters']): TestMesh {
  const test = testMesh({ listener: { filters: filters! } });
  open.push(test);
  return test;
}

interface Answer { status: number; text: string; headers: Record<string, unknown>; trailers: Record<string, unknown> }

function send(port: number, chunks: readonly string[] = [], { path = '/', headers = {}, method = 'POST' }: { path?: string; headers?: Record<string, string>; method?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', path, method, headers: { 'content-type': 'text/plain', ...headers }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, text, headers: response.headers, trailers: response.trailers }));
      response.on('error', reject);
    });
    request.on('error', reject);
    for (const chunk of chunks) request.write(chunk);
    request.end();
  });
}

const echo = express();
echo.use(express.text({ type: '*/*', limit: '10mb' }));
echo.all('/{*path}', (request, response) => void response.set('x-length', String(request.headers['content-length'])).set('x-encoding', String(request.headers['transfer-encoding'])).send(typeof request.body === 'string' ? request.body : ''));

describe('bodies of HTTP requests at a server', () => {
  it.each([[false], [true]])('are what filters make of them, for Express and its parsers (later: %s)', async (later) => {
    const { mesh } = start([upperFilter({ later })]);
    const { port } = await mesh.listen(echo, { port: 0, host: '127.0.0.1' });
    expect(await send(port, ['ab', 'c'], { headers: { 'content-length': '3' } })).toMatchObject({ status: 200, text: 'ABC', headers: { 'content-length': '3', 'x-length': '3' } });
    expect(await send(port, ['ab', 'c'])).toMatchObject({ status: 200, text: 'ABC' });
    expect(await send(port, [], { method: 'GET' })).toMatchObject({ status: 200, text: '' });
    const big = 'x'.repeat(1_000_000);
    expect((await send(port, [big, big])).text.length).toBe(2_000_000);
  });

  it('are what filters make of them, for Fastify', async () => {
    const app = fastify();
    app.post('/', (request) => ({ body: request.body }));
    const { mesh } = start([upperFilter({ later: true })]);
    const { port } = await mesh.listen(app, { port: 0, host: '127.0.0.1' });
    expect(await send(port, ['{"1":', '"a"}'], { headers: { 'content-type': 'application/json' } })).toMatchObject({ status: 200, text: '{"BODY":{"1":"A"}}' });
  });

  it('are what filters make of them, over HTTP/2', async () => {
    const app = fastify({ http2: true });
    app.post('/', (request) => ({ body: request.body }));
    const { mesh } = start([limitFilter(100), upperFilter({ later: true })]);
    const { port } = await mesh.listen(app as never, { port: 0, host: '127.0.0.1' });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    open.push(session);
    const stream = session.request({ ':path': '/', ':method': 'POST', 'content-type': 'application/json' });
    stream.end('{"1":"a"}');
    let text = '';
    for await (const chunk of stream.setEncoding('utf8')) text += chunk;
    expect(text).toBe('{"BODY":{"1":"A"}}');
  });

  it('that change length say so, in both directions', async () => {
    const { mesh } = start([appendFilter('!')]);
    const { port } = await mesh.listen(echo, { port: 0, host: '127.0.0.1' });
    const answer = await send(port, ['abc'], { headers: { 'content-length': '3' } });
    expect(answer).toMatchObject({ text: 'abc!!', headers: { 'x-length': 'undefined', 'x-encoding': 'chunked', 'transfer-encoding': 'chunked' } });
    expect(answer.headers['content-length']).toBeUndefined();
  });

  it('can be waited for, also by a filter that comes later, and by a client that waits itself', async () => {
    const { mesh, infos } = start([testFilter('slow', { decodeHeaders: () => new Promise((resolve) => setTimeout(() => resolve(undefined), 20)) }), limitFilter(5)]);
    const seen: unknown[] = [];
    const { port } = await mesh.listen((request, response) => {
      seen.push(request.headers['x-length']);
      request.pipe(response);
    }, { port: 0, host: '127.0.0.1' });
    expect(await send(port, ['abc'], { headers: { 'content-length': '3' } })).toMatchObject({ status: 200, text: 'abc' });
    expect(await send(port, ['a', 'bcd'])).toMatchObject({ status: 200, text: 'abcd' });
    expect(await send(port, ['abcdef'])).toMatchObject({ status: 413, text: 'too long' });
    expect(await new Promise((resolve, reject) => {
      const request = httpRequest({ port, host: '127.0.0.1', method: 'POST', headers: { 'expect': '100-continue', 'content-length': '2' }, agent: false }, (response) => resolve(response.statusCode));
      request.on('continue', () => request.end('ab')).on('error', reject);
      request.flushHeaders();
    })).toBe(200);
    expect(seen).toEqual(['3', '4', '2']);
    await vi.waitFor(() => expect(infos.map(({ status }) => status)).toEqual([200, 200, 413, 200]));
  });

  it('go to the application as they are where a filter that waited does not want them', async () => {
    const { mesh } = start([testFilter('slow', { decodeHeaders: () => new Promise((resolve) => setTimeout(() => resolve(undefined), 20)) })]);
    const { port } = await mesh.listen(echo, { port: 0, host: '127.0.0.1' });
    const big = 'x'.repeat(300_000);
    expect((await send(port, [big, big])).text.length).toBe(600_000);
  });

  it('of responses pass filters however they are written, with back-pressure and trailers', async () => {
    const seen = { request: '', response: '' };
    const { mesh, infos } = start([upperFilter({ later: true }), watchFilter(seen)]);
    const { port } = await mesh.listen((request, response) => {
      if (request.url === '/end') return void response.end('end');
      if (request.url === '/empty') return void response.writeHead(204).end();
      if (request.url === '/head') return void response.writeHead(201, { 'content-length': 4 }).end('head');
      let left = 200;
      const more = () => {
        while (left-- > 0) if (!response.write(Buffer.alloc(16_384, 'a'))) return void response.once('drain', more);
        response.end('z', 'utf8', () => undefined);
      };
      more();
    }, { port: 0, host: '127.0.0.1' });
    expect(await send(port, [], { path: '/end', method: 'GET' })).toMatchObject({ text: 'END', headers: { 'content-length': '3' } });
    expect(await send(port, [], { path: '/head', method: 'GET' })).toMatchObject({ status: 201, text: 'HEAD', headers: { 'content-length': '4' } });
    expect(await send(port, [], { path: '/empty', method: 'GET' })).toMatchObject({ status: 204, text: '' });
    expect(await send(port, [], { path: '/end', method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
    const long = await send(port, [], { path: '/long', method: 'GET' });
    expect([long.text.length, long.text.endsWith('AZ'), long.trailers]).toEqual([200 * 16_384 + 1, true, { 'x-upper': 'yes' }]);
    await vi.waitFor(() => expect(infos.map(({ bytesSent }) => bytesSent).at(-1)).toBe(200 * 16_384 + 1));
  });

  it('that are refused on their way leave the handler undisturbed', async () => {
    const refusing = testFilter('refusing', { decodeHeaders: (_head, _info, stream) => { refuse = () => stream.endWith({ status: 413, body: 'enough', details: 'enough' }); return undefined; }, decodeBody: () => ({ data: (chunk) => (chunk.length > 5 ? refuse!() : chunk) }) });
    let refuse: (() => void) | undefined;
    const { mesh } = start([refusing]);
    const handled = Promise.withResolvers<string>();
    const { port } = await mesh.listen((request, response) => {
      request.on('data', () => undefined).on('end', () => handled.resolve('ended')).on('close', () => {
        // As an application does that notices late.
        response.setHeader('x', '1');
        response.writeHead(200).end('mine');
        handled.resolve('closed');
      });
    }, { port: 0, host: '127.0.0.1' });
    expect(await send(port, ['abc', 'far too long'])).toMatchObject({ status: 413, text: 'enough' });
    expect(await handled.promise).toBe('closed');
  });

  it('at a filter that fails are never half delivered as if they were whole', async () => {
    const { mesh } = start([failingFilter('encodeBody')]);
    const { port } = await mesh.listen((_request, response) => response.end('abc'), { port: 0, host: '127.0.0.1' });
    await expect(send(port, [], { method: 'GET' })).rejects.toThrow();
    const request = start([failingFilter('decodeBody', true)]);
    const { port: other } = await request.mesh.listen((incoming, response) => void incoming.on('end', () => response.end('reached')).resume(), { port: 0, host: '127.0.0.1' });
    expect(await send(other, ['abc'])).toMatchObject({ status: 500, text: '' });
  });
});

const plain = { requestSerialize: (value: Buffer) => value, requestDeserialize: (value: Buffer) => value, responseSerialize: (value: Buffer) => value, responseDeserialize: (value: Buffer) => value };
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({ path: `/pkg.Echo/${name}`, requestStream, responseStream, ...plain });
const service = { unary: method('Unary', false, false), bidi: method('Bidi', true, true) };

async function grpcServer(filters: TestListener['filters']) {
  const test = start(filters);
  const received: string[] = [];
  const server = new grpc.Server(test.mesh.grpcOptions());
  server.addService(service, {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      received.push(call.request.toString());
      if (call.request.toString() === 'fail') return done({ code: 9, details: 'no' });
      done(null, call.request);
    },
    bidi: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (chunk: Buffer) => call.write(chunk));
      call.on('end', () => call.end());
    },
  });
  const { port } = await test.mesh.listen(server, { port: 0, host: '127.0.0.1' });
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  open.push(client);
  const unary = (message: string) => new Promise<{ text: string; trailers: grpc.Metadata }>((resolve, reject) => {
    let text = '';
    client.makeUnaryRequest(service.unary.path, plain.requestSerialize, plain.responseDeserialize, Buffer.from(message), (error, response) => (error ? reject(error) : (text = String(response))))
      .on('status', ({ code, metadata }) => code === 0 && resolve({ text, trailers: metadata }));
  });
  return { ...test, client, unary, received, port };
}

describe('messages of gRPC calls at a server', () => {
  it.each([[false], [true]])('pass filters both ways (later: %s)', async (later) => {
    const seen = { request: '', response: '' };
    const { client, unary, received, infos } = await grpcServer([upperFilter({ later }), watchFilter(seen)]);
    const { text, trailers } = await unary('abc');
    expect([text, received, trailers.get('x-upper')]).toEqual(['ABC', ['ABC'], ['yes']]);
    expect(seen).toEqual({ request: '\0\0\0\0\x03ABC', response: '\0\0\0\0\x03ABC' });
    const bidi = client.makeBidiStreamRequest(service.bidi.path, plain.requestSerialize, plain.responseDeserialize);
    const answers: string[] = [];
    bidi.on('data', (message: Buffer) => answers.push(String(message)));
    for (let i = 0; i < 50; i++) bidi.write(Buffer.from(`m${i}`));
    bidi.end();
    await new Promise((resolve) => bidi.on('end', resolve));
    expect(answers).toEqual(Array.from({ length: 50 }, (_, i) => `M${i}`));
    await vi.waitFor(() => expect(infos.map(({ grpcStatus }) => grpcStatus)).toEqual([0, 0]));
  });

  it('can be waited for: too long ones are refused', async () => {
    const { unary, received, infos } = await grpcServer([limitFilter(10)]);
    expect((await unary('abc')).text).toBe('abc');
    await expect(unary('abcdefgh')).rejects.toMatchObject({ code: 2, details: 'too long' });
    expect(received).toEqual(['abc']);
    await vi.waitFor(() => expect(infos.length).toBe(2));
  });

  it('that are refused on their way end the call, whatever the handler does', async () => {
    let refuse: (() => void) | undefined;
    const refusing = testFilter('refusing', { decodeHeaders: (_head, _info, stream) => { refuse = () => stream.endWith({ status: 429, body: 'enough', details: 'enough', headers: [['x-why', 'much']] }); return undefined; }, decodeBody: () => ({ data: (chunk) => (chunk.length > 100 ? refuse!() : chunk) }) });
    const { client, infos } = await grpcServer([refusing]);
    const bidi = client.makeBidiStreamRequest(service.bidi.path, plain.requestSerialize, plain.responseDeserialize);
    bidi.on('data', () => undefined);
    const failed = new Promise<grpc.ServiceError>((resolve) => bidi.on('error', resolve as never));
    bidi.write(Buffer.alloc(200));
    const error = await failed;
    expect([error.code, error.details, error.metadata.get('x-why')]).toEqual([14, 'enough', ['much']]);
    await vi.waitFor(() => expect(infos.map(({ responseCodeDetails }) => responseCodeDetails)).toEqual(['enough']));
  });

  it('longer than what is waited for are read away', async () => {
    const { unary } = await grpcServer([limitFilter(10)]);
    await expect(unary('x'.repeat(3_000_000))).rejects.toMatchObject({ code: 2, details: 'too long' });
    expect((await unary('abc')).text).toBe('abc');
  });

  it('of calls that fail keep their status', async () => {
    const { unary } = await grpcServer([watchFilter({ request: '', response: '' })]);
    await expect(unary('fail')).rejects.toMatchObject({ code: 9, details: 'no' });
    await expect((await grpcServer([failingFilter('decodeBody')])).unary('abc')).rejects.toMatchObject({ code: 2 });
  });
});
