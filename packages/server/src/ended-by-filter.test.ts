// A filter that ends its request from within a callback: whenever that is, the handler is not reached.
import { createServer } from 'node:http';
import fastify from 'fastify';
import { connect as connectHttp2 } from 'node:http2';
import grpc from '@grpc/grpc-js';
import { testFilter, type TestListener } from '@weft/data-plane/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { raw, request, statusOf, testMesh, type TestMesh } from './testing.js';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0).reverse()) await item.close();
});

const refusal = { status: 403, body: 'ended', details: 'test' };
const turn = () => new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
const kinds: [string, Parameters<typeof testFilter>[1]][] = [
  ['at once', { decodeHeaders: (_head, _info, stream) => stream.endWith(refusal) as undefined }],
  ['and goes on later', { decodeHeaders: (_head, _info, stream) => (stream.endWith(refusal), turn()) }],
  ['by a late answer', { decodeHeaders: async () => (await turn(), refusal) }],
  ['later', { decodeHeaders: async (_head, _info, stream) => (await turn(), stream.endWith(refusal), turn()) }],
];

function start(filter: Parameters<typeof testFilter>[1], more: TestListener['filters'] = []): TestMesh {
  const test = testMesh({ listener: { filters: [testFilter('ends', filter), ...more!] } });
  open.push(test);
  return test;
}

describe.each(kinds)('a request that a filter ends %s', (_kind, filter) => {
  it('does not reach a handler of HTTP/1.1', async () => {
    let reached = 0;
    const { mesh, infos } = start(filter);
    const { port } = await mesh.listen((_req, res) => { reached++; res.end('reached'); }, { port: 0, host: '127.0.0.1' });
    const text = await raw(port, request('/', ['content-length: 3'], 'POST') + 'abc');
    expect([statusOf(text), reached, infos.map(({ status, responseCodeDetails }) => [status, responseCodeDetails])]).toEqual([403, 0, [[403, 'test']]]);
  });

  it('does not reach a handler of HTTP/2', async () => {
    let reached = 0;
    const app = fastify({ http2: true });
    app.get('/', () => { reached++; return 'reached'; });
    const { mesh } = start(filter);
    const { port } = await mesh.listen(app as never, { port: 0, host: '127.0.0.1' });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    open.push(session);
    const stream = session.request({ ':path': '/' });
    const status = await new Promise((resolve, reject) => stream.on('response', (headers) => resolve(headers[':status'])).on('error', reject).on('close', () => resolve('closed')));
    expect([status, reached]).toEqual([403, 0]);
  });

  it('does not reach a handler of gRPC', async () => {
    let reached = 0;
    const { mesh } = start(filter);
    const plain = { requestSerialize: (value: Buffer) => value, requestDeserialize: (value: Buffer) => value, responseSerialize: (value: Buffer) => value, responseDeserialize: (value: Buffer) => value };
    const server = new grpc.Server(mesh.grpcOptions());
    server.addService({ unary: { path: '/pkg.Echo/Unary', requestStream: false, responseStream: false, ...plain } }, { unary: (_call: unknown, done: grpc.sendUnaryData<Buffer>) => { reached++; done(null, Buffer.from('x')); } });
    const { port } = await mesh.listen(server, { port: 0, host: '127.0.0.1' });
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    open.push(client);
    const code = await new Promise((resolve) => client.makeUnaryRequest('/pkg.Echo/Unary', (x: Buffer) => x, (x: Buffer) => x, Buffer.from('m'), { deadline: Date.now() + 5000 }, (error) => resolve(error?.code ?? 0)));
    expect([code, reached]).toEqual([7, 0]);
  });

  it('does not reach a handler of upgrades', async () => {
    let reached = 0;
    const test = testMesh({ listener: { filters: [testFilter('ends', filter)], http: { upgrades: new Map([['websocket', true]]) } } });
    open.push(test);
    const server = createServer();
    server.on('upgrade', (_request, socket) => { reached++; socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n'); });
    const { port } = await test.mesh.listen(server, { port: 0, host: '127.0.0.1' });
    const text = await raw(port, 'GET / HTTP/1.1\r\nhost: payments\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n', { keepOpen: true });
    expect([reached, text.includes('101')]).toEqual([0, false]);
  });
});

it.each(['before', 'after'])('a client of HTTP/2 that goes away %s a filter has decided leaves the process alive', async (when) => {
  let reached = 0;
  let decide = () => {};
  const app = fastify({ http2: true });
  app.post('/', () => { reached++; return new Promise(() => {}); });
  const { mesh, infos } = start({ decodeHeaders: () => new Promise((resolve) => (decide = () => resolve(undefined))) });
  const { port } = await mesh.listen(app as never, { port: 0, host: '127.0.0.1' });
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  open.push(session);
  const stream = session.request({ ':path': '/', ':method': 'POST', 'content-type': 'application/json' });
  stream.on('error', () => {});
  stream.write('{');
  const before = decide;
  await vi.waitFor(() => expect(decide).not.toBe(before));
  if (when === 'after') decide();
  await turn();
  stream.close(8);
  await vi.waitFor(() => expect(infos).toMatchObject([{ flags: ['DC'] }]));
  decide();
  for (let i = 0; i < 5; i++) await turn();
  expect(reached).toBe(0);
});
