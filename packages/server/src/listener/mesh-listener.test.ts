import { createServer } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { allowOnly } from '@weft/data-plane/testing';
import { TlsContexts, type IdentityHolder } from '@weft/spiffe';
import { bundlesOf, FakeClock, TestAuthority } from '@weft/spiffe/testing';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { raw, request, statusOf, testMesh, type TestMesh } from '../testing.js';

let authority: TestAuthority;
let server: IdentityHolder;
const open: { close(): unknown }[] = [];
const sockets: Socket[] = [];
const web = 'spiffe://cluster.local/ns/shop/sa/web';

beforeAll(() => void (authority = TestAuthority.create('cluster.local')));
beforeEach(() => void (server = authority.source('/ns/shop/sa/payments')));
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(open.splice(0).map((item) => item.close()));
});

function start(options: Parameters<typeof testMesh>[0] = {}): TestMesh {
  const mesh = testMesh({ tls: new TlsContexts(server), ...options });
  open.push(mesh);
  return mesh;
}

const clientTls = (path = '/ns/shop/sa/web', from = authority) => {
  const { secureContext, ALPNProtocols } = new TlsContexts(from.source(path)).upstream({ expectedIds: [], alpn: ['http/1.1'] });
  return { secureContext, ALPNProtocols, rejectUnauthorized: false, checkServerIdentity: () => undefined };
};
const local = { port: 0, host: '127.0.0.1' };

function secure(port: number, options = clientTls()): Promise<TLSSocket> {
  const socket = connectTls({ ...options, port, host: '127.0.0.1' });
  sockets.push(socket);
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('secureConnect', () => resolve(socket)));
}

/** One keep-alive exchange. */
function exchange(socket: Socket, path = '/'): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const done = () => {
      socket.off('data', onData).off('close', done);
      resolve(text);
    };
    const onData = (chunk: Buffer) => {
      text += chunk.toString();
      if (/\r\n\r\n[^]+$/.test(text)) done();
    };
    socket.on('data', onData).on('close', done);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: payments\r\n\r\n`);
  });
}

const whoami = (req: { headers: Record<string, unknown> }, res: { end(text: string): void }) => res.end(String(req.headers['x-forwarded-client-cert'] ?? 'nobody'));

describe('identity on one port', () => {
  it.each([['strict', 0, 200], ['permissive', 200, 200], ['disable', 200, 0]] as const)('%s: plain text %i, mutual TLS %i', async (mode, plain, mutual) => {
    const test = start({ listener: { mode } });
    const { port } = await test.mesh.listen(whoami as never, local);
    expect(statusOf(await raw(port, request('/')))).toBe(plain);
    const response = await raw(port, request('/'), { tls: clientTls() });
    expect(statusOf(response)).toBe(mutual);
    if (mutual) expect(response).toContain(`By=spiffe://cluster.local/ns/shop/sa/payments;URI=${web}`);
  });

  it('is what authorization judges; plain text has none', async () => {
    const test = start({ listener: { mode: 'permissive', rbac: [allowOnly(web)] } });
    const { port } = await test.mesh.listen(whoami as never, local);
    expect(statusOf(await raw(port, request('/', [`x-forwarded-client-cert: URI=${web}`])))).toBe(403);
    expect(statusOf(await raw(port, request('/'), { tls: clientTls() }))).toBe(200);
    expect(statusOf(await raw(port, request('/'), { tls: clientTls('/ns/shop/sa/intruder') }))).toBe(403);
    expect(test.mesh.metrics()).toMatch(new RegExp(`source_principal="${web}".*response_code="200".*connection_security_policy="mutual_tls"`));
  });

  it.each(['another authority', 'no certificate'])('a client with %s is not served', async (which) => {
    const test = start({ listener: { mode: 'strict' } });
    const served = vi.fn((_req, res) => res.end());
    const { port } = await test.mesh.listen(served, local);
    const tls = which === 'no certificate' ? { rejectUnauthorized: false } : clientTls('/ns/shop/sa/web', TestAuthority.create('cluster.local'));
    const answer = await raw(port, request('/'), { tls }).catch(() => '');
    expect([statusOf(answer), served.mock.calls]).toEqual([0, []]);
  });

  it('that was rotated is shown to new connections, and old ones are asked to leave after a response', async () => {
    const test = start({ listener: { mode: 'strict' } });
    const { port } = await test.mesh.listen(whoami as never, local);
    const old = await secure(port);
    expect(await exchange(old)).not.toMatch(/connection: close/i);
    const before = old.getPeerX509Certificate()!.serialNumber;
    server.set(authority.svid('/ns/shop/sa/payments'), bundlesOf(authority));
    expect(await exchange(old)).toMatch(/200 OK[^]*connection: close/i);
    const fresh = await secure(port);
    expect(fresh.getPeerX509Certificate()!.serialNumber).not.toBe(before);
    expect(await exchange(fresh)).not.toMatch(/connection: close/i);
  });

  it('ends with the certificate of the peer', async () => {
    const clock = new FakeClock(Date.now());
    const test = start({ listener: { mode: 'strict' }, clock });
    const { port } = await test.mesh.listen(whoami as never, local);
    const socket = await secure(port);
    expect(statusOf(await exchange(socket))).toBe(200);
    clock.advance(3_600_000 * 0.95);
    expect(await exchange(socket)).toMatch(/connection: close/i);
    const second = await secure(port);
    expect(statusOf(await exchange(second))).toBe(200);
    const closed = new Promise((resolve) => second.once('close', resolve));
    clock.advance(3_700_000);
    await closed;
  });

  it('is never taken from a resumed session', async () => {
    const test = start({ listener: { mode: 'strict' } });
    const { port } = await test.mesh.listen(whoami as never, local);
    const first = await secure(port);
    let session: Buffer | undefined;
    first.on('session', (value: Buffer) => (session = value));
    await exchange(first);
    const second = await secure(port, { ...clientTls(), ...(session && { session }) } as never);
    expect([second.isSessionReused(), statusOf(await exchange(second))]).toEqual([false, 200]);
  });
});

describe('without configuration', () => {
  it('a connection waits, and is served when it comes', async () => {
    const test = start();
    const { port } = await test.mesh.listen(whoami as never, local);
    const answer = raw(port, request('/'));
    await vi.waitFor(() => expect(test.xds.watched).toHaveLength(1));
    test.configure({});
    expect(statusOf(await answer)).toBe(200);
    await test.mesh.ready();
    expect(test.mesh.isReady).toBe(true);
  });

  it('a connection is refused after the limit, and at once where the listener does not exist', async () => {
    const test = start({ settings: { configTimeoutMs: 30 } });
    const { port } = await test.mesh.listen(whoami as never, local);
    expect(await raw(port, request('/'), { keepOpen: true })).toBe('');
    test.xds.remove(test.xds.watched[0]!);
    expect(await raw(port, request('/'), { keepOpen: true })).toBe('');
    expect(test.warnings).toContain('connection refused: no inbound configuration');
    expect(test.mesh.isReady).toBe(false);
  });

  it('refusals are counted, and logged once for many', async () => {
    const test = start({ listener: { mode: 'strict' } });
    const { port } = await test.mesh.listen(whoami as never, local);
    for (let i = 0; i < 5; i++) await raw(port, request('/'));
    expect(test.warnings).toEqual(['connection refused: plain text on a port with mutual TLS']);
    expect(test.mesh.metrics()).toContain(`weft_inbound_connections_refused_total{listener="weft/inbound/http/127.0.0.1:${port}",reason="plain text on a port with mutual TLS"} 5`);
  });

  it('a change to STRICT also ends what plain text connections may do', async () => {
    const test = start({ listener: { mode: 'permissive' } });
    const { port } = await test.mesh.listen(whoami as never, local);
    const socket = connectTcp(port, '127.0.0.1');
    sockets.push(socket);
    expect(statusOf(await exchange(socket))).toBe(200);
    test.configure({ mode: 'strict' });
    expect(statusOf(await exchange(socket))).toBe(403);
  });
});

describe('slow and odd clients', () => {
  it.each([['nothing', ''], ['one byte of a handshake', '\x16'], ['half of the HTTP/2 preface', 'PR']])('that send %s are closed', async (_name, bytes) => {
    const test = start({ listener: { mode: 'permissive' }, settings: { peekTimeoutMs: 50 } });
    const { port } = await test.mesh.listen(whoami as never, local);
    expect(await raw(port, bytes, { keepOpen: true })).toBe('');
  });

  it.each(['GET / HTTP/1.1\r\nhost: a\r\nx-slow: ', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc'])('that never finish a request get 408: %j', async (bytes) => {
    const app = createServer({ headersTimeout: 60, requestTimeout: 120, connectionsCheckingInterval: 30 }, (req, res) => void req.resume().on('end', () => res.end()));
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen(app, local);
    expect(statusOf(await raw(port, bytes, { keepOpen: true }))).toBe(408);
  });

  it('that speak HTTP/2 to an HTTP/1.1 port are refused, and PROPFIND is not taken for its preface', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen((req, res) => res.end(req.method), local);
    expect(await raw(port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', { keepOpen: true })).toBe('');
    expect(await raw(port, request('/', [], 'PROPFIND'))).toContain('PROPFIND');
  });

  it('cost no descriptor after they have gone', async () => {
    const test = start({ listener: { mode: 'permissive' }, settings: { peekTimeoutMs: 100 } });
    const listening = await test.mesh.listen(whoami as never, local);
    await Promise.all(Array.from({ length: 100 }, (_, index) => raw(listening.port, index % 2 ? '\x16\x03\x01' : '')));
    // Waits for each of them to be gone.
    await listening.close();
  });
});

describe('closing', () => {
  it('deregisters, finishes what is in flight, tells keep-alive clients, and refuses what comes later', async () => {
    const test = start({ listener: {} });
    let finish: (() => void) | undefined;
    const { port } = await test.mesh.listen((req, res) => (req.url === '/slow' ? (finish = () => res.end('done')) : res.end('quick')), local);
    const socket = connectTcp(port, '127.0.0.1');
    sockets.push(socket);
    const slow = exchange(socket, '/slow');
    await vi.waitFor(() => expect(finish).toBeDefined());
    const closing = test.mesh.close();
    expect([test.mesh.isReady, test.xds.watched]).toEqual([false, []]);
    // Callers that have not heard of it yet are still served, for a moment.
    finish!();
    expect(await slow).toMatch(/connection: close[^]*done/i);
    await closing;
    await expect(raw(port, request('/'))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(test.mesh.listen(whoami as never, local)).rejects.toMatchObject({ code: 'WEFT_CLOSED' });
    expect(test.infos.map(({ status, flags }) => [status, flags])).toEqual([[200, []]]);
  });

  it('does not wait for ever', async () => {
    const test = start({ listener: {}, settings: { drainTimeoutMs: 50 } });
    let called = false;
    const { port } = await test.mesh.listen(() => void (called = true), local);
    const answer = raw(port, request('/'), { keepOpen: true });
    await vi.waitFor(() => expect(called).toBe(true));
    await test.mesh.close();
    expect(await answer).toBe('');
    await vi.waitFor(() => expect(test.infos[0]?.flags).toEqual(['DC']));
  });

  it('goes on accepting for a while where somebody is connected', async () => {
    const clock = new FakeClock();
    const test = start({ listener: {}, clock, settings: { drainDelayMs: 300 } });
    const { port } = await test.mesh.listen(whoami as never, local);
    const socket = connectTcp(port, '127.0.0.1');
    sockets.push(socket);
    await exchange(socket);
    const closing = test.mesh.close();
    expect(await raw(port, request('/'))).toMatch(/200 OK[^]*connection: close/i);
    clock.advance(300);
    await vi.waitFor(() => {
      clock.advance(100);
      expect(test.mesh.status().listeners).toEqual([]);
    });
    await closing;
  });

  it('leaves idle connections to their clients to close, and still answers what comes on them', async () => {
    const clock = new FakeClock();
    const test = start({ listener: {}, clock, settings: { drainDelayMs: 300 } });
    const { port } = await test.mesh.listen(whoami as never, local);
    const socket = connectTcp(port, '127.0.0.1');
    sockets.push(socket);
    await exchange(socket);
    const closing = test.mesh.close();
    clock.advance(300);
    // The port is closed by now; who has a connection may have sent something before it heard.
    await vi.waitFor(() => expect(raw(port, request('/'))).rejects.toMatchObject({ code: 'ECONNREFUSED' }));
    expect(await exchange(socket)).toMatch(/200 OK[^]*connection: close/i);
    await closing;
  });

  it('on SIGTERM, where it is asked to, then lets the signal end the process', async () => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    // Nobody else may listen, or the signal is theirs to end.
    const others = process.listeners('SIGTERM');
    process.removeAllListeners('SIGTERM');
    const test = start({ listener: {}, settings: { handleSigterm: true } });
    const { port } = await test.mesh.listen(whoami as never, local);
    process.emit('SIGTERM');
    await vi.waitFor(() => expect(kill).toHaveBeenCalledWith(process.pid, 'SIGTERM'));
    await expect(raw(port, request('/'))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    for (const listener of others) process.on('SIGTERM', listener as () => void);
    kill.mockRestore();
  });
});
