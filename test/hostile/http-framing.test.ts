// Bytes at the port of a mesh listener that two readers could read as two requests, or that should cost the server more than the sender.
import { createServer } from 'node:http';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { raw, statusOf, testMesh, type TestMesh } from '../../packages/server/src/testing.js';
import { echoService } from '../support/echo-servers.js';

let mesh: TestMesh;
let port: number;
let handled: string[] = [];

beforeAll(async () => {
  mesh = testMesh({ listener: {}, settings: { peekTimeoutMs: 300 } });
  const http = createServer({ headersTimeout: 400, requestTimeout: 800, connectionsCheckingInterval: 50 }, (request, response) => {
    handled.push(request.url ?? '');
    // Only a body that is whole is answered.
    request.on('error', () => undefined).on('end', () => response.end('handled')).resume();
  });
  const service = new grpc.Server(mesh.mesh.grpcOptions());
  service.addService(echoService as unknown as grpc.ServiceDefinition, { Echo: (_call: unknown, reply: grpc.sendUnaryData<unknown>) => { handled.push('grpc'); reply(null, {}); } });
  ({ port } = await mesh.mesh.listen({ http, grpc: service }, { port: 0, host: '127.0.0.1' }));
});
afterAll(() => mesh?.close());
beforeEach(() => void (handled = []));

/** The server lives and answers. */
const alive = async () => expect(statusOf(await raw(port, 'GET /alive HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'))).toBe(200);
const post = (...lines: string[]) => `POST /first HTTP/1.1\r\n${['host: a', ...lines].join('\r\n')}\r\n\r\n`;
const smuggled = 'GET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';

describe('request smuggling (T1): refused, and what is behind is never read as a request', () => {
  it.each<[string, string | Buffer]>([
    ['Content-Length and Transfer-Encoding', `${post('content-length: 5', 'transfer-encoding: chunked')}0\r\n\r\n${smuggled}`],
    ['two Content-Lengths', `${post('content-length: 0', `content-length: ${smuggled.length}`)}${smuggled}`],
    ['a list of Content-Lengths', `${post('content-length: 0, 0')}${smuggled}`],
    ['a signed Content-Length', `${post('content-length: +0')}${smuggled}`],
    ['a hexadecimal Content-Length', `${post('content-length: 0x0')}${smuggled}`],
    ['an unknown transfer coding', `${post('transfer-encoding: xchunked')}0\r\n\r\n${smuggled}`],
    ['a space before the colon', `${post('transfer-encoding : chunked')}0\r\n\r\n${smuggled}`],
    ['chunked, but not last', `${post('transfer-encoding: chunked, identity')}0\r\n\r\n${smuggled}`],
    ['chunked twice', `${post('transfer-encoding: chunked', 'transfer-encoding: chunked')}0\r\n\r\n${smuggled}`],
    ['lines that end in LF only', `POST /first HTTP/1.1\nhost: a\ntransfer-encoding: chunked\n\n0\n\n${smuggled}`],
    ['a folded header', `${post('transfer-encoding:', ' chunked')}0\r\n\r\n${smuggled}`],
    ['a bare CR in a chunk extension', `${post('transfer-encoding: chunked')}0;a\rb\r\n\r\n${smuggled}`],
    ['a chunk size that overflows', `${post('transfer-encoding: chunked')}FFFFFFFFFFFFFFFFF\r\n\r\n${smuggled}`],
    ['a chunk size with a sign', `${post('transfer-encoding: chunked')}-1\r\n\r\n${smuggled}`],
    ['NUL in a header', `${post('x: a\0b')}${smuggled}`],
    ['NUL in the target', `GET /fir\0st HTTP/1.1\r\nhost: a\r\n\r\n${smuggled}`],
    ['no Host', 'GET /first HTTP/1.1\r\nx: a\r\nconnection: close\r\n\r\n'],
    ['two Hosts', 'GET /first HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n'],
    ['a header without a name', `GET /first HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n${smuggled}`],
    ['a space in the target', `GET /first /second HTTP/1.1\r\nhost: a\r\n\r\n${smuggled}`],
    ['a fragment in the target', `GET /first#x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`],
    ['Authorization twice', `GET /first HTTP/1.1\r\nhost: a\r\nauthorization: a\r\nauthorization: b\r\nconnection: close\r\n\r\n`],
  ])('%s', async (_what, bytes) => {
    const answer = await raw(port, bytes);
    expect(statusOf(answer)).toBe(400);
    // A body whose end is unknown may belong to a request whose head was good; nothing may come after it.
    expect(handled.filter((url) => url !== '/first')).toEqual([]);
    await alive();
  });
});

describe('size (T2)', () => {
  it.each([['17 KiB in one header', `x: ${'a'.repeat(17 * 1024)}`, 431], ['3,000 headers', Array.from({ length: 3000 }, (_, i) => `x${i}: a`).join('\r\n'), 431], ['a target of 20 KiB', '', 431]])('%s', async (what, header, status) => {
    const target = what.startsWith('a target') ? `/${'a'.repeat(20 * 1024)}` : '/';
    expect(statusOf(await raw(port, `GET ${target} HTTP/1.1\r\nhost: a\r\n${header}\r\n\r\n`))).toBe(status);
    expect(handled).toEqual([]);
    await alive();
  });
});

describe('slowness (T3): closed within the limits', () => {
  const open = (bytes: string | Buffer, drip?: { every: number; byte: string }) =>
    new Promise<string>((resolve) => {
      const socket: Socket = connect(port, '127.0.0.1');
      let answer = '';
      const timer = drip && setInterval(() => socket.write(drip.byte), drip.every);
      socket.on('data', (chunk) => (answer += chunk.toString('latin1'))).on('error', () => undefined).on('close', () => {
        clearInterval(timer);
        resolve(answer);
      });
      if (bytes.length > 0) socket.write(bytes);
    });

  it.each<[string, string | Buffer, { every: number; byte: string } | undefined]>([
    ['a connection that says nothing', '', undefined],
    ['one byte of a ClientHello', Buffer.from([0x16]), undefined],
    ['headers, a byte at a time', 'GET / HTTP/1.1\r\nhost: a\r\nx: ', { every: 50, byte: 'a' }],
    ['a body, a byte at a time', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n', { every: 50, byte: 'a' }],
    ['half of the HTTP/2 preface', 'PRI * HTTP/2.0\r\n', undefined],
  ])('%s', async (_what, bytes, drip) => {
    await open(bytes, drip);
    await alive();
  });
});

describe('HTTP/2 floods', () => {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const frame = (type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  };
  // :method POST, :scheme http, :path /a, :authority a
  const headers = Buffer.concat([Buffer.from([0x83, 0x86, 0x04, 0x02]), Buffer.from('/a'), Buffer.from([0x01, 0x01]), Buffer.from('a')]);
  /** Sends until the server ends the connection. @returns how much it took. */
  const flood = (start: Buffer, next: (index: number) => Buffer, most: number) =>
    new Promise<number>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      let sent = 0;
      let ended = false;
      const end = () => {
        ended = true;
        resolve(sent);
      };
      socket.on('error', () => undefined).on('close', end).resume();
      socket.write(Buffer.concat([preface, frame(4, 0, 0), start]));
      const more = () => {
        while (!ended && sent < most) {
          sent += 1;
          if (!socket.write(next(sent))) return void socket.once('drain', more);
        }
        if (!ended) socket.end();
      };
      more();
    });

  it('rapid reset (T4): the connection ends, few handlers ran', async () => {
    const sent = await flood(Buffer.alloc(0), (index) => Buffer.concat([frame(1, 4, index * 2 - 1, headers), frame(3, 0, index * 2 - 1, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]))]), 200_000);
    expect(sent).toBeLessThan(200_000);
    await alive();
  });

  it('CONTINUATION (T5): a head that never ends', async () => {
    const padding = Buffer.concat([Buffer.from([0x40, 0x01]), Buffer.from('x'), Buffer.from([0x7f, 0x80, 0x7e]), Buffer.alloc(16_000, 'a')]);
    const sent = await flood(frame(1, 0, 1, headers), () => frame(9, 0, 1, padding), 10_000);
    expect(sent).toBeLessThan(10_000);
    expect(handled).toEqual([]);
    await alive();
  });

  it('PRIORITY (T6)', async () => {
    const sent = await flood(Buffer.alloc(0), (index) => frame(2, 0, (index % 1000) * 2 + 1, Buffer.from([0, 0, 0, 0, 16])), 300_000);
    expect(sent).toBeLessThan(300_000);
    await alive();
  });

  it('an error on the socket before anything is decided (T12) ends nothing but the socket', async () => {
    const crashed: unknown[] = [];
    const onError = (error: unknown) => crashed.push(error);
    process.on('uncaughtException', onError);
    const whole = Buffer.concat([preface, frame(4, 0, 0)]);
    for (const [index, bytes] of [Buffer.alloc(0), Buffer.from([0x16, 0x03, 0x01]), Buffer.from('PRI * '), whole, Buffer.from('GET / HT')].flatMap((each) => [[0, each], [1, each]] as const)) {
      for (let i = 0; i < 20; i += 1) {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => undefined);
        await new Promise((resolve) => socket.once('connect', resolve));
        if (bytes.length > 0) socket.write(bytes);
        if (index === 0) socket.resetAndDestroy();
        else socket.end();
      }
    }
    await alive();
    await vi.waitFor(() => expect(mesh.mesh.status().listeners[0]!.openConnections).toBe(0), { timeout: 5000 });
    process.off('uncaughtException', onError);
    expect(crashed).toEqual([]);
  });

  it('frames out of order, and sizes that are not theirs', async () => {
    for (const bytes of [frame(0, 0, 1, Buffer.from('x')), frame(9, 0, 1, headers), frame(1, 4, 2, headers), frame(4, 0, 1), frame(6, 0, 0, Buffer.alloc(3)), frame(8, 0, 0, Buffer.alloc(4)), frame(5, 4, 1, headers), Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])]) {
      await raw(port, Buffer.concat([preface, frame(4, 0, 0), bytes]));
    }
    expect(handled).toEqual([]);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    await new Promise((resolve) => session.once('connect', resolve));
    session.destroy();
    await alive();
  });
});
