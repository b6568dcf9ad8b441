import { connect as connectHttp2 } from 'node:http2';
import express from 'express';
import grpc from '@grpc/grpc-js';
import { currentContext } from '@weft/data-plane/internal';
import { denyPath, grpcWeb } from '@weft/data-plane/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { testMesh, type TestMesh } from '../testing.js';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0).reverse()) await item.close();
});

const plain = { requestSerialize: (value: Buffer) => value, requestDeserialize: (value: Buffer) => value, responseSerialize: (value: Buffer) => value, responseDeserialize: (value: Buffer) => value };
const method = (name: string, responseStream: boolean) => ({ path: `/pkg.Echo/${name}`, requestStream: false, responseStream, ...plain });
const service = { unary: method('Unary', false), many: method('Many', true) };
const filter = { name: 'grpc_web', factory: grpcWeb, config: undefined, disabled: false } as never;

let traceparent: string | undefined;

async function start({ app, filters = [filter] }: { app?: express.Express; filters?: never[] } = {}): Promise<{ port: number } & TestMesh> {
  const test = testMesh({ listener: { filters, rbac: [denyPath('/pkg.Echo/Denied')] } });
  open.push(test);
  const server = new grpc.Server(test.mesh.grpcOptions());
  server.addService(service, {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      traceparent = currentContext()?.traceparent;
      if (call.request.toString() === 'fail') return done({ code: 5, details: 'not here' });
      const trailers = new grpc.Metadata();
      trailers.set('x-trailer', 'z');
      done(null, Buffer.from(`${call.request.toString()}!`), trailers);
    },
    many: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      for (let i = 0; i < 100; i++) call.write(Buffer.alloc(10_000, 'a'));
      call.end();
    },
  });
  const { port } = await test.mesh.listen(app ? { http: app, grpc: server } : server, { port: 0, host: '127.0.0.1' });
  return { ...test, port };
}

const frame = (message: string) => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(message), 1);
  return Buffer.concat([head, Buffer.from(message)]);
};

/** As a browser's client reads it: messages, then the frame of trailers. */
function read(body: Buffer): { messages: string[]; trailers: Record<string, string> } {
  const messages: string[] = [];
  let trailers: Record<string, string> = {};
  for (let at = 0; at < body.length;) {
    const length = body.readUInt32BE(at + 1);
    const text = body.subarray(at + 5, at + 5 + length).toString();
    if (body[at] === 0x80) trailers = Object.fromEntries(text.trimEnd().split('\r\n').map((line) => line.split(/:(.*)/).slice(0, 2) as [string, string]));
    else messages.push(text);
    at += 5 + length;
  }
  return { messages, trailers };
}

async function call(port: number, message: string, { path = '/pkg.Echo/Unary', text = false, headers = {} }: { path?: string; text?: boolean; headers?: Record<string, string> } = {}) {
  const type = `application/grpc-web${text ? '-text' : ''}`;
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers: { 'content-type': type, accept: type, 'x-grpc-web': '1', ...headers }, body: text ? frame(message).toString('base64') : frame(message) });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: Object.fromEntries(response.headers), ...read(text ? Buffer.from(bytes.toString(), 'base64') : bytes), bytes };
}

describe('gRPC-Web over HTTP/1.1', () => {
  it.each([[false], [true]])('reaches the grpc.Server; trailers are the last frame (text: %s)', async (text) => {
    const { port, infos } = await start();
    const answer = await call(port, 'hello', { text, headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } });
    expect(answer).toMatchObject({ status: 200, messages: ['hello!'], trailers: { 'grpc-status': '0', 'x-trailer': 'z' }, headers: { 'content-type': text ? 'application/grpc-web-text+proto' : 'application/grpc-web+proto' } });
    // The handler runs in the request's context.
    expect(traceparent).toContain('0af7651916cd43dd8448eb211c80319c');
    await vi.waitFor(() => expect(infos.map(({ grpcStatus, status }) => [status, grpcStatus])).toEqual([[200, 0]]));
  });

  it('streams, and tells statuses', async () => {
    const { port } = await start();
    expect(await call(port, 'fail')).toMatchObject({ status: 200, headers: { 'grpc-status': '5', 'grpc-message': 'not%20here' } });
    expect(await call(port, 'x', { path: '/pkg.Echo/None' })).toMatchObject({ headers: { 'grpc-status': '12' } });
    const { messages, trailers } = await call(port, 'x', { path: '/pkg.Echo/Many', text: true });
    expect([messages.length, messages.every((message) => message.length === 10_000), trailers['grpc-status']]).toEqual([100, true, '0']);
  });

  it('is judged once, as what it asks for', async () => {
    const { port, infos } = await start();
    expect((await call(port, 'x', { path: '/pkg.Echo/Denied' })).status).toBe(403);
    await call(port, 'a');
    await call(port, 'b');
    await vi.waitFor(() => expect(infos.length).toBe(3));
  });

  it('that is not base64 is refused', async () => {
    const { port } = await start();
    for (const body of ['AAA', 'AA*=']) {
      const response = await fetch(`http://127.0.0.1:${port}/pkg.Echo/Unary`, { method: 'POST', headers: { 'content-type': 'application/grpc-web-text' }, body });
      expect([response.status, await response.text()]).toEqual([400, 'Bad gRPC-web request, invalid base64 data.']);
    }
  });

  it('shares its port with an HTTP application, and needs the filter', async () => {
    const app = express();
    app.use((request, response) => void response.send(`app ${request.headers['content-type'] ?? ''}`));
    const both = await start({ app });
    expect((await call(both.port, 'x')).messages).toEqual(['x!']);
    expect(await (await fetch(`http://127.0.0.1:${both.port}/`)).text()).toBe('app ');
    const without = await start({ filters: [] });
    await expect(call(without.port, 'x')).rejects.toThrow();
    const plainRequest = await fetch(`http://127.0.0.1:${(await start()).port}/`);
    expect(plainRequest.status).toBe(415);
  });

  it('cannot be used to pass by policy: nobody else may speak of judged calls', async () => {
    const { port } = await start();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    open.push(session);
    const stream = session.request({ ':method': 'POST', ':path': '/pkg.Echo/Denied', 'content-type': 'application/grpc', te: 'trailers', 'x-weft-bridged-call': '1' });
    const status = await new Promise((resolve) => stream.on('response', (headers) => resolve(headers['grpc-status'])).end(frame('x')));
    expect(status).toBe('7');
  });
});

describe('gRPC-Web over HTTP/2', () => {
  it('gets the trailers in the body too', async () => {
    const { port } = await start();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    open.push(session);
    const stream = session.request({ ':method': 'POST', ':path': '/pkg.Echo/Unary', 'content-type': 'application/grpc-web+proto' });
    stream.end(frame('hello'));
    let type: unknown;
    let trailing: unknown;
    stream.on('response', (headers) => (type = headers['content-type'])).on('trailers', (trailers) => (trailing = trailers));
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect([type, read(Buffer.concat(chunks)), trailing]).toEqual(['application/grpc-web+proto', { messages: ['hello!'], trailers: expect.objectContaining({ 'grpc-status': '0' }) }, undefined]);
  });
});
