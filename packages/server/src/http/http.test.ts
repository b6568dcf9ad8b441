import { createServer, get, type IncomingMessage } from 'node:http';
import express from 'express';
import { currentContext } from '@weft/data-plane/internal';
import { denyPath } from '@weft/data-plane/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { raw, request, statusOf, testMesh, type TestMesh } from '../testing.js';

const open: TestMesh[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).map((mesh) => mesh.close()))));

function start(...args: Parameters<typeof testMesh>): TestMesh {
  const mesh = testMesh(...args);
  open.push(mesh);
  return mesh;
}

const echo = (request: IncomingMessage) => JSON.stringify({ method: request.method, url: request.url, headers: request.headers, distinct: request.headersDistinct, raw: request.rawHeaders });
const body = (response: string) => response.slice(response.indexOf('\r\n\r\n') + 4);

describe('a request listener in the mesh', () => {
  it('sees the path and the headers that policies saw', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen((req, res) => res.end(echo(req)), { port: 0, host: '127.0.0.1' });
    expect(test.xds.watched).toEqual([`weft/inbound/http/127.0.0.1:${port}`]);
    const seen = JSON.parse(body(await raw(port, request('/a/../b//c?d', ['X-Forwarded-Client-Cert: URI=spiffe://x/y', 'x-envoy-original-path: /z', 'Keep: 1', 'Keep: 2', '__proto__: 3'])))) as Record<string, unknown>;
    expect(seen).toMatchObject({ url: '/b/c?d', headers: { keep: '1, 2', 'x-request-id': expect.stringMatching(/-/) } });
    for (const view of [seen['headers'], seen['distinct']]) expect(Object.keys(view as object)).not.toContain('x-forwarded-client-cert');
    expect((seen['raw'] as string[]).join()).not.toMatch(/spiffe|original-path/);
  });

  it('answers with status, headers and body whichever way it writes them', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen((req, res) => {
      res.setHeader('x-set', 'a');
      if (req.url === '/object') res.writeHead(201, 'Made', { 'x-head': 'b', 'set-cookie': ['c=1', 'd=2'] }).end('object');
      else if (req.url === '/array') res.writeHead(202, ['x-head', 'b', 'x-head', 'c']).end('array');
      else if (req.url === '/stream') { res.write('str'); res.write('eam'); res.end(); }
      else res.end('implicit');
    }, { port: 0, host: '127.0.0.1' });
    const object = await raw(port, request('/object'));
    expect([statusOf(object), object.split('\r\n')[0], /x-set: a/.test(object), /x-head: b/.test(object), object.match(/set-cookie: .=./gi), body(object)]).toEqual([201, 'HTTP/1.1 201 Made', true, true, ['set-cookie: c=1', 'set-cookie: d=2'], expect.stringContaining('object')]);
    const array = await raw(port, request('/array'));
    expect([statusOf(array), array.match(/x-head: ./g)]).toEqual([202, ['x-head: b', 'x-head: c']]);
    expect(await raw(port, request('/stream'))).toContain('str');
    expect(statusOf(await raw(port, request('/')))).toBe(200);
    await vi.waitFor(() => expect(test.infos.map(({ status, bytesSent }) => [status, bytesSent])).toEqual([[201, 6], [202, 5], [200, 6], [200, 8]]));
  });

  it('is counted with its bytes, also when it is chunked or the caller goes away', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen((req, res) => {
      if (req.url === '/hang') return void res.write('x');
      req.resume().on('end', () => res.end());
    }, { port: 0, host: '127.0.0.1' });
    await raw(port, request('/', ['transfer-encoding: chunked'], 'POST') + '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n');
    await raw(port, request('/', ['content-length: 4'], 'POST') + 'abcd');
    const call = get({ port, path: '/hang' }, (response) => void response.once('data', () => call.destroy()));
    call.on('error', () => {});
    await vi.waitFor(() => expect(test.infos.map(({ status, bytesReceived, flags }) => [status, bytesReceived, flags])).toEqual([[200, 5, []], [200, 4, []], [200, 0, ['DC']]]));
    expect(test.mesh.metrics()).toMatch(/istio_requests_total\{reporter="destination",source_workload="unknown".*destination_service="payments.shop.svc.cluster.local".*response_code="200",grpc_response_status="",response_flags="DC",connection_security_policy="none"\} 1/);
  });

  it('runs in the context of its request', async () => {
    const test = start({ listener: {} });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const { port } = await test.mesh.listen(async (_req, res) => {
      await new Promise(setImmediate);
      res.end(currentContext()?.traceparent);
    }, { port: 0, host: '127.0.0.1' });
    expect(await raw(port, request('/', [`traceparent: ${traceparent}`]))).toContain(traceparent);
  });

  it('of an http.Server keeps its limits, its listeners and its upgrades, behind policy', async () => {
    const test = start({ listener: { rbac: [denyPath('/admin')], http: { upgrades: new Map([['echo', true]]) } } });
    const app = createServer({ headersTimeout: 1234 });
    app.on('request', (_req, res) => res.end('app'));
    app.on('upgrade', (_req, socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\nhello'));
    app.on('checkContinue', (_req, res) => res.writeHead(413).end());
    const { port } = await test.mesh.listen(app, { port: 0, host: '127.0.0.1' });
    const upgradeHeaders = ['upgrade: echo', 'connection: upgrade'];
    expect(await raw(port, request('/', []))).toContain('app');
    expect(await raw(port, request('/ws', upgradeHeaders).replace('connection: close\r\n', ''))).toMatch(/^HTTP\/1.1 101[^]*hello/);
    await vi.waitFor(() => expect(test.infos.at(-1)).toMatchObject({ status: 101, bytesSent: expect.any(Number) }));
    expect(test.infos.at(-1)!.bytesSent).toBeGreaterThan('hello'.length);
    // Only what the listener names may change the protocol, as in Envoy.
    expect(statusOf(await raw(port, request('/ws', ['upgrade: other', 'connection: upgrade']).replace('connection: close\r\n', '')))).toBe(403);
    expect(statusOf(await raw(port, request('/admin', upgradeHeaders).replace('connection: close\r\n', '')))).toBe(403);
    expect(statusOf(await raw(port, request('/', ['expect: 100-continue', 'content-length: 1'], 'POST')))).toBe(413);
    expect(statusOf(await raw(port, 'CONNECT payments:80 HTTP/1.1\r\nhost: payments\r\n\r\n'))).toBe(405);
  });

  it('with the insecure parser is refused', async () => {
    const test = start();
    await expect(test.mesh.listen(createServer({ insecureHTTPParser: true }), 0)).rejects.toThrow('insecureHTTPParser');
    await expect(test.mesh.listen({} as never, 0)).rejects.toThrow('expected an Express app');
  });
});

describe('Express', () => {
  function app() {
    const app = express();
    app.get('/admin', (_req, res) => void res.send('ADMIN'));
    const router = express.Router();
    router.get('/Secret', (_req, res) => void res.send('ADMIN'));
    app.use('/sub', router);
    app.get(/.*/, (req, res) => void res.send(`other ${req.path}`));
    return app;
  }

  it.each(['/admin', '/Admin', '/admin/', '/AdMiN/', '/admin?x=1', '/x/../admin', '/./admin', '//admin', '/%61dmin', '/x\\..\\admin', 'http://evil/admin', '/sub/secret', '/SUB/Secret/', '/sub//secret'])('a rule against it covers %s', async (path) => {
    const test = start({ listener: { rbac: [denyPath('/admin'), denyPath('/sub/Secret')] } });
    const { port } = await test.mesh.listen(app(), { port: 0, host: '127.0.0.1' });
    const response = await raw(port, request(path));
    expect([statusOf(response), body(response)]).toEqual([403, 'RBAC: access denied']);
  });

  it.each(['/admin#f', '/%00', '/%zz', '/%', '/a%ff'])('%s is refused before policy', async (path) => {
    const test = start({ listener: { rbac: [denyPath('/admin')] } });
    const { port } = await test.mesh.listen(app(), { port: 0, host: '127.0.0.1' });
    expect(statusOf(await raw(port, request(path)))).toBe(400);
  });

  it('never serves a denied path, for random spellings', async () => {
    const test = start({ listener: { rbac: [denyPath('/admin')] } });
    const { port } = await test.mesh.listen(app(), { port: 0, host: '127.0.0.1' });
    const seed = Number(process.env['SEED'] ?? (Math.random() * 2 ** 31) | 0);
    let state = seed;
    const next = (n: number) => ((state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) >>> 8) % n;
    const parts = ['/', '//', '/./', '/x/../', '\\', '%2f', '%5C', 'admin', 'ADMIN', '%61dmin', 'adm%69n', 'admi%4e', '.', '..', ';a', '?q', '%2e', '%25', '/'];
    const paths = Array.from({ length: 1500 }, () => `/${Array.from({ length: 1 + next(5) }, () => parts[next(parts.length)]).join('')}`);
    // One connection for all, one answer each; each status is followed by its body.
    const text = await raw(port, paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`).join('') + request('/end'));
    expect(text.match(/HTTP\/1\.1 \d{3} /g)!.length, `seed ${seed}`).toBe(1501);
    expect(/\r\n\r\nADMIN/.test(text), `seed ${seed}`).toBe(false);
  });
});

describe('hostile requests', () => {
  it.each([
    ['two hosts', 'GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n'],
    ['two authorizations', request('/', ['authorization: a', 'authorization: b'])],
    ['content-length and chunked', request('/', ['content-length: 3', 'transfer-encoding: chunked'], 'POST')],
    ['two lengths', request('/', ['content-length: 3', 'content-length: 4'], 'POST')],
    ['space before colon', request('/', ['transfer-encoding : chunked'], 'POST')],
    ['folded line', request('/', ['x: a\r\n b'])],
    ['no host', 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n'],
    ['another scheme', request('ftp://payments/x')],
    ['userinfo', request('http://user@payments/x')],
  ])('%s: 400', async (_name, bytes) => {
    const test = start({ listener: {} });
    const served = vi.fn((_req, res) => res.end());
    const { port } = await test.mesh.listen(served, { port: 0, host: '127.0.0.1' });
    expect(statusOf(await raw(port, bytes, { keepOpen: true }))).toBe(400);
    expect(served).not.toHaveBeenCalled();
  });

  it('refused requests are counted too', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen((_req, res) => res.end(), { port: 0, host: '127.0.0.1' });
    await raw(port, request('ftp://payments/x'));
    await raw(port, request('/%00'));
    await vi.waitFor(() => expect(test.infos.map(({ status, responseCodeDetails }) => [status, responseCodeDetails])).toEqual([[400, 'bad_request_target'], [400, 'path_invalid_escape']]));
  });

  it('an absolute target decides the host', async () => {
    const test = start({ listener: {} });
    const { port } = await test.mesh.listen((req, res) => res.end(`${req.headers.host} ${req.url}`), { port: 0, host: '127.0.0.1' });
    expect(await raw(port, request('http://other?x'))).toContain('other /?x');
    expect(test.infos[0]?.authority).toBe('other');
  });
});
