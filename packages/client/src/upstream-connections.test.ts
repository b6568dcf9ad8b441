// How connections to hosts are made, through both adapters.
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { credentials, makeGenericClientConstructor, type Client } from '@grpc/grpc-js';
import { TlsContexts } from '@weft/spiffe';
import { TestAuthority } from '@weft/spiffe/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { echoServer, echoService } from '../test-support/grpc-echo.js';
import { HandMadeMesh, type Service } from '../test-support/hand-made-mesh.js';
import { testServer } from '../test-support/test-server.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listen(server: Server, host = '127.0.0.1'): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen(0, host, resolve));
  cleanups.push(() => { for (const socket of sockets) socket.destroy(); server.close(); });
  return (server.address() as AddressInfo).port;
}

function mesh(service: Service, tls?: TlsContexts): HandMadeMesh {
  const made = new HandMadeMesh(tls ? { tls } : {}).add('echo', service);
  cleanups.push(() => made.close());
  return made;
}

async function get(made: HandMadeMesh): Promise<string> {
  return (await made.client.request('http://echo/')).body.text();
}

const EchoClient = makeGenericClientConstructor(echoService, 'Echo');

async function call(made: HandMadeMesh): Promise<string> {
  const client = new EchoClient('xds:///echo:80', credentials.createInsecure(), made.client.grpc()) as unknown as Client & { Unary(message: Buffer, done: (error: Error | null, answer: Buffer) => void): void };
  cleanups.push(() => client.close());
  return new Promise((resolve, reject) => client.Unary(Buffer.from('hello'), (error, answer) => (error ? reject(error) : resolve(String(answer)))));
}

async function http(): Promise<number> {
  return listen(createHttp((request, response) => response.end(request.socket.remoteAddress)));
}

async function grpc(): Promise<number> {
  const server = await echoServer();
  cleanups.push(() => server.close());
  return server.port;
}

/** Reads the PROXY header of each connection, and passes the rest on. */
async function headerReader(to: number, length: (received: Buffer) => number): Promise<{ port: number; headers: Buffer[]; peers: number[] }> {
  const headers: Buffer[] = [];
  const peers: number[] = [];
  const port = await listen(createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.on('readable', function read() {
      received = Buffer.concat([received, (socket.read() as Buffer | null) ?? Buffer.alloc(0)]);
      const end = length(received);
      if (end === 0) return;
      socket.removeListener('readable', read);
      headers.push(received.subarray(0, end));
      peers.push(socket.remotePort!);
      const onward = connect(to, '127.0.0.1').on('error', () => socket.destroy());
      onward.write(received.subarray(end));
      socket.pipe(onward).pipe(socket);
    });
  }));
  return { port, headers, peers };
}

const v1Length = (received: Buffer) => received.indexOf('\r\n') + 2 - (received.includes('\r\n') ? 0 : 1);
const v2Length = (received: Buffer) => (received.length >= 16 ? 16 + received.readUInt16BE(14) : 0);

describe.each([['HTTP', http, get], ['gRPC', grpc, call]] as const)('over %s', (_protocol, serve, ask) => {
  it('another address of a host is tried where the first refuses', async () => {
    const port = await serve();
    // Nothing listens at the first one.
    const made = mesh({ ports: [port], endpoint: () => ({ address: '127.0.0.2', additionalAddresses: [{ address: '127.0.0.3', port }, { address: '127.0.0.1', port }] }) });
    expect(await ask(made)).not.toBe('');
    expect(made.ended[0]).toMatchObject({ status: 200, attempts: 1, upstreamAddress: `127.0.0.2:${port}` });
  });

  it('a PROXY header goes first, in both versions', async () => {
    const port = await serve();
    const first = await headerReader(port, v1Length);
    await ask(mesh({ ports: [first.port], cluster: { transportSockets: [{ name: '', match: {}, proxyProtocol: 'v1' }] } }));
    expect(String(first.headers[0])).toBe(`PROXY TCP4 127.0.0.1 127.0.0.1 ${first.peers[0]} ${first.port}\r\n`);
    const second = await headerReader(port, v2Length);
    await ask(mesh({ ports: [second.port], cluster: { transportSockets: [{ name: '', match: {}, proxyProtocol: 'v2' }] } }));
    expect(second.headers[0]!.toString('hex')).toBe('0d0a0d0a000d0a515549540a20000000');
  });
});

it('a PROXY header goes before TLS', async () => {
  const authority = TestAuthority.create('td');
  const server = await testServer((_request, response) => response.end('secret'), { tls: new TlsContexts(authority.source('/ns/a/sa/echo')) });
  cleanups.push(() => server.close());
  const reader = await headerReader(server.port, v1Length);
  const tls = { identityProvider: 'default', rootProvider: 'default', subjectAltNames: [], alpn: ['http/1.1'], sni: '' };
  const made = mesh({ ports: [reader.port], cluster: { transportSockets: [{ name: '', match: {}, proxyProtocol: 'v1', tls }] } }, new TlsContexts(authority.source('/ns/a/sa/web')));
  expect(await get(made)).toBe('secret');
  expect(String(reader.headers[0])).toMatch(/^PROXY TCP4 /);
  const nobody = mesh({ ports: [1], cluster: { transportSockets: [{ name: '', match: {}, proxyProtocol: 'v1', tls }] } }, new TlsContexts(authority.source('/ns/a/sa/web')));
  expect((await nobody.client.request('http://echo/')).statusCode).toBe(503);
});

it('HTTP connects from the configured address, gRPC refuses what it could not keep', async () => {
  const cluster = { sourceAddresses: [{ address: '::1', port: 0 }, { address: '127.0.0.7', port: 0 }] };
  expect(await get(mesh({ ports: [await http()], cluster }))).toBe('127.0.0.7');
  await expect(call(mesh({ ports: [await grpc()], cluster }))).rejects.toThrow('upstream_bind_config of outbound|80||echo cannot be kept for gRPC');
});

it('an HTTP/2 connection whose pings are not answered ends, with the request on it', async () => {
  let silent = false;
  const server = createHttp2((_request, response) => {
    if (!silent) response.end('ok');
  });
  const behind = await listen(server);
  // Once silent, nothing the server says gets through.
  const port = await listen(createServer((socket) => {
    const onward = connect(behind, '127.0.0.1').on('error', () => socket.destroy());
    socket.pipe(onward);
    onward.on('data', (data) => silent || socket.write(data));
  }));
  const made = mesh({ ports: [port], cluster: { protocol: 'http2', http2KeepAlive: { intervalMs: 40, timeoutMs: 40 } } });
  expect(await get(made)).toBe('ok');
  silent = true;
  const { statusCode, body } = await made.client.request('http://echo/');
  expect([statusCode, await body.text()]).toEqual([503, expect.stringContaining('no answer to a ping')]);
});
