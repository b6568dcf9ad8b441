import { connect as connectHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import express from 'express';
import fastify from 'fastify';
import { denyPath } from '@weft/data-plane/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { weft as expressMiddleware } from '../express/index.js';
import { raw, request, statusOf, testMesh } from '../testing.js';
import { weft as fastifyPlugin } from './index.js';

const open: { close(): unknown }[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).reverse().map((item) => item.close()))));

function start(...args: Parameters<typeof testMesh>) {
  const test = testMesh(...args);
  open.push(test);
  return test;
}

const local = { port: 0, host: '127.0.0.1' };

describe('Fastify behind mesh.listen', () => {
  it.each([
    ['/admin', {}, 403], ['/%61dmin', {}, 403], ['/x/../admin', {}, 403], ['/admin?x', {}, 403], ['/caf%C3%A9', {}, 403], ['/b%7Bc', {}, 403],
    ['/Admin', {}, 404], ['/Admin', { caseSensitive: false }, 403], ['/admin/', {}, 404], ['/admin/', { ignoreTrailingSlash: true }, 403], ['//admin', { ignoreDuplicateSlashes: true }, 403], ['/open', {}, 200],
  ])('%s with %j: %i', async (path, routerOptions, status) => {
    const test = start({ listener: { rbac: [denyPath('/admin'), denyPath('/caf\u00e9'), denyPath('/b{c')] } });
    const app = fastify({ routerOptions });
    for (const route of ['/admin', '/caf\u00e9', '/b{c', '/open']) app.get(route, async () => 'served');
    open.push(app);
    const { port } = await test.mesh.listen(app, local);
    expect(statusOf(await raw(port, request(path)))).toBe(status);
  });

  it('serves bodies, hooks and errors as Fastify does', async () => {
    const test = start({ listener: {} });
    const app = fastify();
    app.post('/', async (req) => ({ got: req.body }));
    app.get('/error', async () => { throw new Error('no'); });
    open.push(app);
    const { port } = await test.mesh.listen(app, local);
    const body = JSON.stringify({ a: 1 });
    expect(await raw(port, request('/', ['content-type: application/json', `content-length: ${body.length}`], 'POST') + body)).toContain('{"got":{"a":1}}');
    expect(statusOf(await raw(port, request('/error')))).toBe(500);
    await vi.waitFor(() => expect(test.infos.map(({ status, bytesReceived, bytesSent }) => [status, bytesReceived, bytesSent > 10])).toEqual([[200, 7, true], [500, 0, true]]));
  });

  it('over HTTP/2 where it was made for it', async () => {
    const test = start({ listener: { rbac: [denyPath('/admin')] } });
    const app = fastify({ http2: true });
    app.get('/', async () => 'h2');
    app.get('/admin', async () => 'admin');
    open.push(app as unknown as { close(): unknown });
    const { port } = await test.mesh.listen(app as never, local);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    open.push({ close: () => session.destroy() });
    const call = (path: string) => new Promise<[number | undefined, string]>((resolve) => {
      let text = '';
      let status: number | undefined;
      session.request({ ':path': path }).on('response', (headers) => (status = headers[':status'])).on('data', (chunk) => (text += String(chunk))).on('end', () => resolve([status, text]));
    });
    expect(await call('/')).toEqual([200, 'h2']);
    expect(await call('/x/../admin')).toEqual([403, 'RBAC: access denied']);
    await vi.waitFor(() => expect(test.infos.map(({ httpVersion, status, bytesSent }) => [httpVersion, status, bytesSent])).toEqual([['HTTP/2', 200, 2], ['HTTP/2', 403, 19]]));
  });

  it('that reads ; as ? is refused', async () => {
    const test = start();
    await expect(test.mesh.listen(fastify({ routerOptions: { useSemicolonDelimiter: true } as object }), local)).rejects.toThrow('useSemicolonDelimiter');
  });
});

describe('middleware on an application\'s own listener', () => {
  it('Express: policy and counting, registered by its port', async () => {
    const test = start({ listener: { rbac: [denyPath('/admin')] } });
    const app = express();
    app.use(expressMiddleware(test.mesh, { port: 8080, host: '127.0.0.1' }));
    app.get('/admin', (_req, res) => void res.send('ADMIN'));
    app.get('/', (req, res) => void res.send(String(req.headers['x-forwarded-client-cert'] ?? 'nobody')));
    const server = createServer(app).listen(0, '127.0.0.1');
    open.push(server);
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    expect(test.xds.watched).toEqual(['weft/inbound/http/127.0.0.1:8080']);
    expect(statusOf(await raw(port, request('/ADMIN/../admin/')))).toBe(403);
    expect(await raw(port, request('/', ['x-forwarded-client-cert: URI=spiffe://a/b']))).toContain('nobody');
    test.configure({ mode: 'strict' });
    expect(statusOf(await raw(port, request('/')))).toBe(403);
    await vi.waitFor(() => expect(test.infos.map(({ status }) => status)).toEqual([403, 200]));
  });

  it('Fastify: refuses paths that it has already routed on in another form', async () => {
    const test = start({ listener: { rbac: [denyPath('/admin')] } });
    const app = fastify();
    await app.register(fastifyPlugin, { mesh: test.mesh, port: 8080 });
    app.get('/admin', async () => 'ADMIN');
    app.get('/', async () => 'open');
    open.push(app);
    await app.listen(local);
    const { port } = app.server.address() as AddressInfo;
    expect([statusOf(await raw(port, request('/'))), statusOf(await raw(port, request('/admin'))), statusOf(await raw(port, request('/%61dmin'))), statusOf(await raw(port, request('/x/../')))]).toEqual([200, 403, 403, 400]);
    expect(test.infos.map(({ status }) => status)).toEqual([200, 403, 403, 400]);
  });

  it('waits for the first configuration, then refuses', async () => {
    const test = start();
    const app = express();
    app.use(expressMiddleware(test.mesh, { port: 8080, configTimeoutMs: 30 }));
    app.get('/', (_req, res) => void res.send('served'));
    const server = createServer(app).listen(0, '127.0.0.1');
    open.push(server);
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    expect(statusOf(await raw(port, request('/'), { keepOpen: true }))).toBe(503);
    const waiting = raw(port, request('/'), { keepOpen: true });
    test.configure({});
    expect(statusOf(await waiting)).toBe(200);
  });
});
