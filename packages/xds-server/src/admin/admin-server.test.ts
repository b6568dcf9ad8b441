import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AdminError, AdminServer, AdminText } from './admin-server.js';
import { formatMetrics } from './metrics.js';

let server: AdminServer;
let port: number;
beforeEach(async () => {
  server = new AdminServer({ token: 'secret-token', hosts: ['weft.internal'] });
  server.route('GET', '/v1/thing', ({ query }) => ({ name: query.get('name') }));
  server.route('POST', '/v1/thing', ({ body }) => ({ got: body }));
  server.route('POST', '/v1/fail', () => {
    throw new AdminError(409, 'no');
  });
  server.route('GET', '/healthz', () => new AdminText('ok\n'));
  port = Number((await server.listen('127.0.0.1', 0)).split(':')[1]);
});
afterEach(() => server.close());

interface Answer {
  status: number;
  text: string;
  headers: Record<string, unknown>;
}

function call(method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

const json = { 'content-type': 'application/json' };
const token = { authorization: 'Bearer secret-token' };

describe('the admin port', () => {
  it('answers reads with JSON, and unknown paths and methods with reasons', async () => {
    const found = await call('GET', '/v1/thing?name=x');
    expect([found.status, found.text]).toEqual([200, '{"name":"x"}\n']);
    expect(found.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'" });
    expect(await call('GET', '/v1/other')).toMatchObject({ status: 404, text: expect.stringContaining('GET /v1') as string });
    expect(await call('DELETE', '/v1/thing', token)).toMatchObject({ status: 405, headers: { allow: 'GET, POST' } });
  });

  it('changes things only with the token and a JSON body', async () => {
    expect(await call('POST', '/v1/thing', { ...json, ...token }, '{"a":1}')).toMatchObject({ status: 200, text: '{"got":{"a":1}}\n' });
    expect((await call('POST', '/v1/thing', { ...token, 'content-length': '0' })).status).toBe(200);
    expect((await call('POST', '/v1/thing', json, '{}')).status).toBe(401);
    expect((await call('POST', '/v1/thing', { ...json, authorization: 'Bearer secret-tokem' }, '{}')).status).toBe(401);
    expect((await call('POST', '/v1/thing', { ...json, authorization: 'Bearer secret-token2' }, '{}')).status).toBe(401);
    expect((await call('POST', '/v1/thing', { ...token, 'content-type': 'text/plain' }, '{}')).status).toBe(415);
    expect((await call('POST', '/v1/thing', { ...token, ...json }, '{')).status).toBe(400);
    expect((await call('POST', '/v1/fail', { ...token, ...json }, '{}'))).toMatchObject({ status: 409, text: '{"error":"no"}\n' });
  });

  it('refuses a body that is too large', async () => {
    const answer = await call('POST', '/v1/thing', { ...token, ...json }, JSON.stringify('x'.repeat(1_100_000))).catch(() => ({ status: 413 }));
    expect(answer.status).toBe(413);
  });

  it.each([
    ['localhost', 200], ['127.0.0.1:1', 200], ['[::1]:15014', 200], ['weft.internal:15014', 200], ['WEFT.internal', 200],
    ['evil.example', 403], ['127.0.0.1.evil.example', 403], ['localhost.evil.example:15014', 403],
  ])('answers for host %s with %i', async (host, status) => {
    expect((await call('GET', '/v1/thing', { host })).status).toBe(status);
  });

  it('refuses other origins, and answers probes by any name', async () => {
    expect((await call('GET', '/v1/thing', { host: 'localhost:15014', origin: 'http://evil.example' })).status).toBe(403);
    expect((await call('GET', '/v1/thing', { host: 'localhost:15014', origin: 'http://localhost:15014' })).status).toBe(200);
    expect((await call('GET', '/healthz', { host: 'pod.example' })).text).toBe('ok\n');
  });

  it('cannot be changed without a token of its own', async () => {
    await server.close();
    server = new AdminServer();
    server.route('POST', '/v1/thing', () => ({}));
    port = Number((await server.listen('127.0.0.1', 0)).split(':')[1]);
    expect((await call('POST', '/v1/thing', { ...json, authorization: 'Bearer undefined' }, '{}')).status).toBe(403);
  });
});

it('escapes label values of metrics', () => {
  const text = formatMetrics([{ name: 'm', type: 'gauge', help: 'h', samples: [{ labels: { a: 'x"\\\n' }, value: 1 }] }]);
  expect(text).toBe('# HELP m h\n# TYPE m gauge\nm{a="x\\"\\\\\\n"} 1\n');
});
