import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as tlsConnect, createServer as createTlsServer } from 'node:tls';
import { TestAuthority } from '@weft/spiffe/testing';
import { TlsContexts } from '@weft/spiffe';
import { errors } from 'undici';
import { afterEach, expect, test } from 'vitest';
import { connect, UpstreamConnectError, type ConnectTarget } from './connector.js';
import { httpFailure, isCallerError } from './http-failure.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => { for (const socket of sockets) socket.destroy(); server.close(); });
  return (server.address() as AddressInfo).port;
}

function attempt(target: Partial<ConnectTarget> & { port: number }): Promise<Socket | UpstreamConnectError> {
  return new Promise((resolve) => {
    connect({ address: '127.0.0.1', timeoutMs: 2000, tlsOptions: undefined, ...target }, (error, socket) => {
      if (socket) cleanups.push(() => socket.destroy());
      resolve(error ?? socket!);
    });
  });
}

test('a refused connection, one that closes and one that hangs in its handshake are connect-failure', async () => {
  const server = createServer();
  const port = await listen(server);
  cleanups.pop()!();
  expect(await attempt({ port })).toMatchObject({ kind: 'connect-failure', message: expect.stringContaining('ECONNREFUSED') as string });
  const authority = TestAuthority.create('td');
  const tlsOptions = () => new TlsContexts(authority.source('/ns/a/sa/b')).upstream({ expectedIds: [], alpn: ['http/1.1'] });
  expect(await attempt({ port: await listen(createServer((socket) => socket.destroy())), tlsOptions })).toMatchObject({ kind: 'connect-failure' });
  expect(await attempt({ port: await listen(createServer()), tlsOptions, timeoutMs: 50 })).toMatchObject({ kind: 'connect-failure', message: expect.stringContaining('in 50 ms') as string });
});

test('an untrusted authority, another name and a missing identity are identity', async () => {
  const [own, other] = [TestAuthority.create('td'), TestAuthority.create('td')];
  const port = await listen(createTlsServer(new TlsContexts(other.source('/ns/a/sa/server')).serverOptions({ alpn: [], requireClientCertificate: false })));
  const client = new TlsContexts(own.source('/ns/a/sa/client'));
  expect(await attempt({ port, tlsOptions: () => client.upstream({ expectedIds: [], alpn: [] }) })).toMatchObject({ kind: 'identity' });
  const trusting = new TlsContexts(other.source('/ns/a/sa/client'));
  expect(await attempt({ port, tlsOptions: () => trusting.upstream({ expectedIds: ['spiffe://td/ns/a/sa/else'], alpn: [] }) })).toMatchObject({ kind: 'identity', message: expect.stringContaining('the peer is spiffe://td/ns/a/sa/server') as string });
  expect(await attempt({ port, tlsOptions: () => { throw new Error('no SVID yet'); } })).toMatchObject({ kind: 'identity', message: 'no SVID yet' });
  expect(await attempt({ port, tlsOptions: () => trusting.upstream({ expectedIds: ['spiffe://td/ns/a/sa/server'], alpn: [] }) })).not.toBeInstanceOf(Error);
});

test('a resumed session is refused: nothing of it was verified', async () => {
  const authority = TestAuthority.create('td');
  const contexts = new TlsContexts(authority.source('/ns/a/sa/server'));
  // A careless server that resumes; ours never does.
  const { secureOptions: _off, ...options } = contexts.serverOptions({ alpn: [], requireClientCertificate: false });
  const server = createTlsServer(options, (socket) => socket.on('error', () => {}).end('x'));
  const port = await listen(server);
  const upstream = () => contexts.upstream({ expectedIds: [], alpn: [] });
  const session = await new Promise<Buffer>((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, ...upstream() }).on('session', resolve).on('error', reject).resume();
    cleanups.push(() => socket.destroy());
  });
  expect(await attempt({ port, tlsOptions: () => ({ ...upstream(), session }) })).toMatchObject({ kind: 'identity', message: expect.stringContaining('resumed') as string });
});

test('a stopped attempt does not call back', async () => {
  const port = await listen(createServer());
  let called = false;
  connect({ address: '127.0.0.1', port, timeoutMs: 50, tlsOptions: undefined }, () => (called = true))();
  await attempt({ port });
  expect(called).toBe(false);
});

test('undici\'s errors by kind', () => {
  const error = (code: string) => Object.assign(new Error(code), { code });
  expect(httpFailure(new UpstreamConnectError('identity', 'x'), false).kind).toBe('identity');
  expect(httpFailure(new errors.SocketError('other side closed'), true).kind).toBe('reset');
  expect(httpFailure(new errors.ClientClosedError(), false).kind).toBe('reset-before-request');
  expect(httpFailure(new errors.HeadersTimeoutError(), true).kind).toBe('per-try-timeout');
  expect(httpFailure(error('HPE_INVALID_CONSTANT'), true).kind).toBe('protocol-error');
  expect(httpFailure(error('ECONNRESET'), true).kind).toBe('reset');
  expect(httpFailure(Object.assign(new Error('x'), { http2ErrorCode: 7 }), true).kind).toBe('refused-stream');
  expect(isCallerError(new errors.InvalidArgumentError('x'))).toBe(true);
  expect(isCallerError(new errors.SocketError('x'))).toBe(false);
});
