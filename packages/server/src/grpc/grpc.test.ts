import { connect as connectHttp2 } from 'node:http2';
import express from 'express';
import grpc from '@grpc/grpc-js';
import { currentContext } from '@weft/data-plane/internal';
import { allowOnly, denyPath } from '@weft/data-plane/testing';
import { TlsContexts } from '@weft/spiffe';
import { FakeClock, TestAuthority } from '@weft/spiffe/testing';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { raw, request, statusOf, testMesh, type TestMesh } from '../testing.js';

const open: { close(): unknown }[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).reverse().map((item) => item.close()))));

let authority: TestAuthority;
beforeAll(() => void (authority = TestAuthority.create('cluster.local')));

const plain = { requestSerialize: (value: Buffer) => value, requestDeserialize: (value: Buffer) => value, responseSerialize: (value: Buffer) => value, responseDeserialize: (value: Buffer) => value };
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({ path: `/pkg.Echo/${name}`, requestStream, responseStream, ...plain });
const service = { unary: method('Unary', false, false), server: method('Server', false, true), client: method('Client', true, false), bidi: method('Bidi', true, true) };

let seen: { traceparent?: string | undefined; deadline?: number | undefined; aborted?: boolean; metadata?: Record<string, grpc.MetadataValue> };

function implementation(): grpc.UntypedServiceImplementation {
  seen = {};
  const look = (call: { metadata: grpc.Metadata }) => {
    const context = currentContext();
    seen = { traceparent: context?.traceparent, deadline: context?.deadline, metadata: call.metadata.getMap() };
    context?.signal?.addEventListener('abort', () => (seen.aborted = true));
  };
  return {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      look(call);
      if (call.request.toString() === 'hang') return;
      setImmediate(() => (call.request.toString() === 'fail' ? done({ code: 9, details: 'no' }) : done(null, call.request)));
    },
    server: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      look(call);
      call.write(Buffer.from('a'));
      call.write(Buffer.from('b'));
      call.end();
    },
    client: (call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      const all: Buffer[] = [];
      call.on('data', (chunk: Buffer) => all.push(chunk));
      call.on('end', () => {
        look(call);
        done(null, Buffer.concat(all));
      });
    },
    bidi: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (chunk: Buffer) => call.write(chunk));
      call.on('end', () => call.end());
    },
  };
}

function start(options: Parameters<typeof testMesh>[0] = {}): TestMesh & { server: grpc.Server } {
  const test = testMesh(options);
  open.push(test);
  const server = new grpc.Server(test.mesh.grpcOptions());
  server.addService(service, implementation());
  return { ...test, server };
}

function client(port: number, credentials = grpc.credentials.createInsecure()): grpc.Client {
  const made = new grpc.Client(`127.0.0.1:${port}`, credentials);
  open.push(made);
  return made;
}

function unary(made: grpc.Client, body: string, { path = '/pkg.Echo/Unary', metadata = new grpc.Metadata(), options = {} as grpc.CallOptions } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    made.makeUnaryRequest(path, plain.requestSerialize, plain.responseDeserialize, Buffer.from(body), metadata, options, (error, value) => (error ? reject(error) : resolve(String(value))));
  });
}

const local = { port: 0, host: '127.0.0.1' };
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('a grpc.Server in the mesh', () => {
  it('serves all four kinds of calls and counts them with their status', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen(test.server, local);
    expect(test.xds.watched).toEqual([`weft/inbound/grpc/127.0.0.1:${port}`]);
    const made = client(port);
    expect(await unary(made, 'hello')).toBe('hello');
    await expect(unary(made, 'fail')).rejects.toMatchObject({ code: 9, details: 'no' });
    const received: string[] = [];
    await new Promise((resolve) => made.makeServerStreamRequest('/pkg.Echo/Server', plain.requestSerialize, plain.responseDeserialize, Buffer.from('')).on('data', (value) => received.push(String(value))).on('end', resolve));
    expect(received).toEqual(['a', 'b']);
    const collected = await new Promise((resolve) => {
      const call = made.makeClientStreamRequest('/pkg.Echo/Client', plain.requestSerialize, plain.responseDeserialize, (_error, value) => resolve(String(value)));
      call.write(Buffer.from('x'));
      call.write(Buffer.from('y'));
      call.end();
    });
    expect(collected).toBe('xy');
    const echoed = await new Promise((resolve) => {
      const call = made.makeBidiStreamRequest('/pkg.Echo/Bidi', plain.requestSerialize, plain.responseDeserialize);
      call.on('data', (value) => {
        resolve(String(value));
        call.end();
      });
      call.write(Buffer.from('z'));
    });
    expect(echoed).toBe('z');
    await vi.waitFor(() => expect(test.infos.map(({ protocol, status, grpcStatus, bytesReceived, bytesSent }) => [protocol, status, grpcStatus, bytesReceived, bytesSent])).toEqual([
      ['grpc', 200, 0, 10, 10], ['grpc', 200, 9, 9, 0], ['grpc', 200, 0, 5, 12], ['grpc', 200, 0, 12, 7], ['grpc', 200, 0, 6, 6],
    ]));
    expect(test.mesh.metrics()).toMatch(/request_protocol="grpc",response_code="200",grpc_response_status="9",response_flags="-"/);
  });

  it('runs every handler in the context of its call, without the headers of a mesh', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen(test.server, local);
    const made = client(port);
    const metadata = new grpc.Metadata();
    for (const [name, value] of [['traceparent', traceparent], ['x-forwarded-client-cert', 'URI=spiffe://x/y'], ['x-envoy-retry-on', '5xx'], ['keep', 'a'], ['data-bin', Buffer.from([1, 2])]] as const) metadata.add(name, value);
    await unary(made, 'a', { metadata, options: { deadline: Date.now() + 60_000 } });
    expect(seen.traceparent).toBe(traceparent);
    expect(seen.deadline! - performance.now()).toBeGreaterThan(0);
    expect(seen.metadata).toMatchObject({ 'keep': 'a', 'data-bin': Buffer.from([1, 2]) });
    expect(Object.keys(seen.metadata!)).not.toEqual(expect.arrayContaining(['x-forwarded-client-cert']));
    expect(Object.keys(seen.metadata!)).not.toEqual(expect.arrayContaining(['x-envoy-retry-on']));
    const call = made.makeClientStreamRequest('/pkg.Echo/Client', plain.requestSerialize, plain.responseDeserialize, metadata, () => {});
    seen = {};
    call.end(Buffer.from('q'));
    await vi.waitFor(() => expect(seen.traceparent).toBe(traceparent));
  });

  it('tells a handler that its caller went away', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen(test.server, local);
    const call = client(port).makeUnaryRequest('/pkg.Echo/Unary', plain.requestSerialize, plain.responseDeserialize, Buffer.from('hang'), () => {});
    await vi.waitFor(() => expect(seen.metadata).toBeDefined());
    call.cancel();
    await vi.waitFor(() => expect([seen.aborted, test.infos[0]?.flags]).toEqual([true, ['DC']]));
  });

  it('judges calls by identity, known methods and unknown ones', async () => {
    const tls = new TlsContexts(authority.source('/ns/shop/sa/payments'));
    const test = start({ tls, listener: { mode: 'strict', rbac: [denyPath('/pkg.Echo/Nothing'), allowOnly('spiffe://cluster.local/ns/shop/sa/web')] } });
    const { port } = await test.mesh.listen(test.server, local);
    const as = (path: string) => {
      const { secureContext } = new TlsContexts(authority.source(path)).upstream({ expectedIds: [], alpn: ['h2'] });
      return client(port, grpc.credentials.createFromSecureContext(secureContext, { checkServerIdentity: () => undefined }));
    };
    const web = as('/ns/shop/sa/web');
    expect(await unary(web, 'hello')).toBe('hello');
    expect(String(seen.metadata!['x-forwarded-client-cert'])).toContain('URI=spiffe://cluster.local/ns/shop/sa/web');
    await expect(unary(web, 'x', { path: '/pkg.Echo/Missing' })).rejects.toMatchObject({ code: 12 });
    await expect(unary(web, 'x', { path: '/pkg.Echo/Nothing' })).rejects.toMatchObject({ code: 7, details: 'RBAC: access denied' });
    await expect(unary(as('/ns/shop/sa/intruder'), 'x')).rejects.toMatchObject({ code: 7 });
    await expect(unary(as('/ns/shop/sa/intruder'), 'x', { path: '/pkg.Echo/Missing' })).rejects.toMatchObject({ code: 7 });
    await vi.waitFor(() => expect(test.infos.map(({ grpcStatus, responseCodeDetails }) => [grpcStatus, responseCodeDetails])).toEqual([
      [0, 'via_upstream'], [12, 'via_upstream'], [7, 'rbac_access_denied_matched_policy[deny]'], [7, 'rbac_access_denied_matched_policy[none]'], [7, 'rbac_access_denied_matched_policy[none]'],
    ]));
    await expect(unary(client(port), 'x', { options: { deadline: Date.now() + 500 } })).rejects.toMatchObject({ code: expect.any(Number) });
    expect(test.infos).toHaveLength(5);
  });

  it.each(['//pkg.Echo/Unary', '/pkg.Echo/../pkg.Echo/Unary', '/pkg.Echo/%55nary'])('knows no method %s', async (path) => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen(test.server, local);
    await expect(unary(client(port), 'x', { path })).rejects.toMatchObject({ code: 12 });
    expect(seen).toEqual({});
  });

  it('served around the mesh refuses every call', async () => {
    const test = start({ listener: {} });
    const port = await new Promise<number>((resolve, reject) => test.server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
    open.push({ close: () => test.server.forceShutdown() });
    await expect(unary(client(port), 'x')).rejects.toMatchObject({ code: 14, details: expect.stringContaining('mesh.listen') });
    expect(seen).toEqual({});
  });

  it('drains: a call in flight finishes, the connection gets GOAWAY', async () => {
    const test = start({ listener: {} });
    const listening = await test.mesh.listen(test.server, local);
    const made = client(listening.port);
    const call = made.makeBidiStreamRequest('/pkg.Echo/Bidi', plain.requestSerialize, plain.responseDeserialize);
    const answers: string[] = [];
    call.on('data', (value) => answers.push(String(value)));
    const ended = new Promise<grpc.StatusObject>((resolve) => call.on('status', resolve));
    call.write(Buffer.from('1'));
    await vi.waitFor(() => expect(answers).toEqual(['1']));
    const closing = listening.close();
    call.write(Buffer.from('2'));
    await vi.waitFor(() => expect(answers).toEqual(['1', '2']));
    call.end();
    expect((await ended).code).toBe(0);
    await closing;
    await expect(unary(made, 'x', { options: { deadline: Date.now() + 2000 } })).rejects.toMatchObject({ code: 14 });
  });

  it('drains: a call that crosses the GOAWAY is told that nobody looked at it, and the connection ends in order', async () => {
    const test = start({ listener: {} });
    const listening = await test.mesh.listen(test.server, local);
    const session = connectHttp2(`http://127.0.0.1:${listening.port}`);
    open.push({ close: () => session.destroy() });
    const ends: string[] = [];
    session.on('error', (error) => ends.push(error.message)).on('goaway', (code, lastStreamId) => ends.push(`goaway ${code} after ${lastStreamId}`)).on('ping', () => ends.push('ping'));
    const call = () => new Promise<string>((resolve) => {
      const stream = session.request({ ':path': '/pkg.Echo/Unary', ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' });
      let status = 'no trailers';
      stream.on('trailers', (trailers) => (status = String(trailers['grpc-status'])));
      stream.on('error', (error) => (status = error.message)).on('close', () => resolve(status)).resume();
      stream.end(Buffer.from([0, 0, 0, 0, 1, 120]));
    });
    expect(await call()).toBe('0');
    const closing = listening.close();
    // More than fits the server's first read after its GOAWAY.
    const crossing = await Promise.all(Array.from({ length: 200 }, call));
    expect(new Set(crossing)).toEqual(new Set(['Stream closed with error code NGHTTP2_REFUSED_STREAM']));
    await closing;
    // Nothing was closed before the client could say that it has read as far as here.
    expect(ends.slice(0, 2).toSorted()).toEqual(['goaway 0 after 1', 'ping']);
  });

  it('serves connections that are made while callers still hear of its leaving', async () => {
    const clock = new FakeClock();
    const test = start({ listener: {}, clock, settings: { drainDelayMs: 400 } });
    const { port } = await test.mesh.listen(test.server, local);
    await unary(client(port), 'first');
    const closing = test.mesh.close();
    expect(await unary(client(port), 'second')).toBe('second');
    clock.advance(400);
    await vi.waitFor(() => {
      clock.advance(100);
      expect(test.mesh.status().listeners).toEqual([]);
    });
    await closing;
  });

  it('shares a port with HTTP, each with its own answers', async () => {
    const test = start({ listener: { rbac: [denyPath('/admin')] } });
    const app = express();
    app.get('/', (_req, res) => void res.send('http'));
    const { port } = await test.mesh.listen({ http: app, grpc: test.server }, local);
    expect(await unary(client(port), 'hello')).toBe('hello');
    expect(await raw(port, request('/'))).toContain('http');
    expect(statusOf(await raw(port, request('/admin')))).toBe(403);
    // HTTP/2 that is not gRPC belongs to grpc-js, behind the same policy.
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    open.push({ close: () => session.destroy() });
    const status = (path: string) => new Promise((resolve) => session.request({ ':path': path }).on('response', (headers) => resolve(headers[':status'])).resume());
    expect([await status('/admin'), await status('/')]).toEqual([403, 415]);
  });

  it('survives a burst of streams that are reset', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen(test.server, local);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on('error', () => {});
    const goaway = new Promise((resolve) => session.on('goaway', resolve).on('close', resolve));
    for (let i = 0; i < 3000 && !session.destroyed; i++) {
      const stream = session.request({ ':path': '/pkg.Echo/Unary', ':method': 'POST', 'content-type': 'application/grpc' });
      stream.on('error', () => {});
      stream.close(8);
      if (i % 50 === 0) await new Promise(setImmediate);
    }
    await goaway;
    expect(await unary(client(port), 'hello')).toBe('hello');
  });
});
