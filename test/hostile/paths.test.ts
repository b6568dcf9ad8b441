// Random spellings of paths against real frameworks: where policy says deny, the handler behind it never runs. And the headers that a
// peer must not get through.
import { createServer } from 'node:http';
import express from 'express';
import Fastify from 'fastify';
import { denyPath } from '@weft/data-plane/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { raw, statusOf, testMesh, type TestMesh } from '../../packages/server/src/testing.js';
import type { HttpApp } from '../../packages/server/src/target.js';
import { seededRandom, type Random } from '../support/random.js';

let reached: string[] = [];
let seen: { headers: Record<string, unknown>; raw: readonly string[] } | undefined;
beforeEach(() => {
  reached = [];
  seen = undefined;
});

const frameworks: Readonly<Record<string, () => HttpApp>> = {
  express: () => {
    const app = express();
    app.all('/admin', (_request, response) => void (reached.push('admin'), response.end('secret')));
    app.all('/public/:name', (request, response) => void (reached.push(`public ${request.params['name']}`), response.end('public')));
    return app;
  },
  'express with a sub-router': () => {
    const router = express.Router();
    router.all('/', (_request, response) => void (reached.push('admin'), response.end('secret')));
    return express().use('/admin', router);
  },
  fastify: () => {
    const app = Fastify();
    app.all('/admin', async () => (reached.push('admin'), 'secret'));
    app.all('/public/:name', async () => (reached.push('public'), 'public'));
    return app;
  },
  'fastify, tolerant': () => {
    const app = Fastify({ routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true } });
    app.all('/admin', async () => (reached.push('admin'), 'secret'));
    return app;
  },
  'node:http': () => createServer((request, response) => {
    // As applications often do it.
    if (decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname) === '/admin') reached.push('admin');
    response.end();
  }),
};

/** One spelling of /admin, or nearly. */
function spelling(random: Random): string {
  const letter = (char: string) => random.pick([char, char, char, char.toUpperCase(), `%${char.charCodeAt(0).toString(16)}`, `%${char.charCodeAt(0).toString(16).toUpperCase()}`, `%25${char.charCodeAt(0).toString(16)}`]);
  const slash = () => random.pick(['/', '/', '/', '//', '/./', '/x/../', '\\', '%2f', '%5c', '/%2e/', '/x/%2e%2e/', '/;/', '/.//', '///', '/%2e%2e/', '/..;/']);
  const word = [...'admin'].map(letter).join('');
  const tail = random.pick(['', '', '', '/', '?x=1', '?', '/?x', ';', ';a=b', '%20', '%00', '.', '/.', '/..', '/x/..', '%2f', '#', '%', '%zz', '%ff', '/%2e', '%3f', '//']);
  const start = random.pick(['', '', '', '', 'http://a', 'http://evil', 'HTTP://a', '/public/..', '/public/%2e%2e', '/public/..%2f..', '/x/y/../..']);
  return `${start}${slash()}${word}${tail}`.replace(/ /g, '%20');
}

describe.each(Object.entries(frameworks))('%s', (_name, make) => {
  let mesh: TestMesh;
  let port: number;
  beforeAll(async () => {
    mesh = testMesh({ listener: { rbac: [denyPath('/admin')] } });
    ({ port } = await mesh.mesh.listen(make(), { port: 0, host: '127.0.0.1' }));
  });
  afterAll(() => mesh?.close());
  const get = (path: string, method = 'GET') => raw(port, `${method} ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);

  it('DENY /admin holds for 1,500 spellings of it', async () => {
    const random = seededRandom();
    const paths = Array.from({ length: 1500 }, () => spelling(random));
    for (let i = 0; i < paths.length; i += 25) {
      const batch = paths.slice(i, i + 25);
      const answers = await Promise.all(batch.map((path) => get(path)));
      expect(reached.filter((what) => what === 'admin'), `WEFT_SEED=${random.seed}: one of ${JSON.stringify(batch.filter((_, at) => statusOf(answers[at]!) === 200))}`).toEqual([]);
    }
  }, 60_000);

  it('the route is there, and reached without the policy', async () => {
    mesh.configure({});
    await get('/admin');
    expect(reached).toContain('admin');
    mesh.configure({ rbac: [denyPath('/admin')] });
    reached = [];
    expect(statusOf(await get('/admin'))).toBe(403);
    expect(reached).toEqual([]);
  });

  it('an unreadable path is answered with 400 before anything else', async () => {
    for (const path of ['/%zz', '/%', '/%00', '/%ff', '/a%c0%af', '/a#b']) expect([path, statusOf(await get(path))]).toEqual([path, 400]);
    expect(reached).toEqual([]);
  });
});

describe('headers', () => {
  let mesh: TestMesh;
  let port: number;
  beforeAll(async () => {
    mesh = testMesh({ listener: {} });
    ({ port } = await mesh.mesh.listen((request, response) => {
      seen = { headers: { ...request.headers }, raw: request.rawHeaders };
      response.end();
    }, { port: 0, host: '127.0.0.1' }));
  });
  afterAll(() => mesh?.close());
  const send = async (...headers: string[]) => statusOf(await raw(port, Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${headers.join('\r\n')}\r\n\r\n`, 'latin1')));

  it.each<[string, string[], RegExp]>([
    ['H1: the identity header of another hop', ['x-forwarded-client-cert: URI=spiffe://evil', 'X-Forwarded-Client-Cert: URI=spiffe://evil'], /evil/],
    ['H2: control headers of proxies', ['x-envoy-original-path: /evil', 'X-Envoy-Retry-On: evil', 'x-envoy-peer-metadata: evil'], /evil/],
    ['H3: a request id of a megabyte', [`x-request-id: ${'evil'.repeat(2000)}`], /evil/],
    ['H3: a request id that is not printable', ['x-request-id: evil\xff'], /evil/],
    ['H3: two request ids', ['x-request-id: evil1', 'x-request-id: evil2'], /evil/],
    ['H3: a trace context that is none', ['traceparent: evil'], /evil/],
    ['H3: baggage of 9 KiB', [`baggage: k=${'evil'.repeat(2300)}`], /evil/],
    ['H7: underscores for dashes', ['x_forwarded_client_cert: evil', 'X_Envoy_Original_Path: evil'], /evil/],
    ['H8: names that the next hop should drop', ['connection: x-request-id, x-forwarded-client-cert'], /"connection":"[^"]*x-request-id/i],
  ])('%s do not get through', async (_what, headers, trace) => {
    expect(await send(...headers)).toBe(200);
    expect(JSON.stringify(seen)).not.toMatch(trace);
    expect(seen?.headers['x-request-id']).toMatch(/^[\x21-\x7e]{1,128}$/);
  });

  it('H5: Authorization twice has two meanings', async () => {
    expect(await send('authorization: a', 'Authorization: b')).toBe(400);
    expect(seen).toBeUndefined();
  });

  it('H6: names that mean something to JavaScript are names', async () => {
    expect(await send('__proto__: polluted', 'constructor: polluted', 'hasOwnProperty: polluted')).toBe(200);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(Object.getPrototypeOf(seen!.headers)).toBe(Object.prototype);
  });

  it('random headers end in an answer', async () => {
    const random = seededRandom();
    const names = ['host', 'Host', 'content-length', 'transfer-encoding', 'connection', 'cookie', 'te', 'upgrade', 'expect', 'x-request-id', 'traceparent', 'baggage', 'authorization', '__proto__', 'x-forwarded-client-cert', 'x_y', ''];
    for (let i = 0; i < 400; i += 1) {
      const headers = Array.from({ length: random.below(6) }, () => `${random.pick(names)}${random.pick([':', ': ', ' :', ':\t', ''])}${random.bytes(random.below(12)).toString('latin1').replace(/[\r\n]/g, '')}`);
      const status = await send(...headers);
      expect([0, 100, 200, 400, 405, 413, 417, 426, 431, 501], `WEFT_SEED=${random.seed}: ${JSON.stringify(headers)}`).toContain(status);
    }
    expect(await send()).toBe(200);
  });
});
