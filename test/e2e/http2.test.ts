// HTTP/2 in and out, over mutual TLS and in plain text: Fastify, node:http2, undici, and clients that speak HTTP/1.1 themselves.
import { createServer } from 'node:http2';
import http, { type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import fastify from 'fastify';
import { request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestMesh, serviceYaml, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let frontend: TestWorkload;

const service = (name: string) => `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  selector: { app: ${name} }
  ports: [{ name: http2, port: 80, targetPort: web }]
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: ${name} }
spec:
  metadata: { labels: { app: ${name} } }
  template: { serviceAccount: ${name}, ports: { web: 8080 } }
`;
const plain = (name: string) => `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ${name} }
spec: { selector: { matchLabels: { app: ${name} } }, mtls: { mode: DISABLE } }
`;

beforeAll(async () => {
  mesh = await TestMesh.start({ 'a.yaml': service('framework'), 'b.yaml': service('bare'), 'c.yaml': service('plain'), 'plain.yaml': plain('plain'), 'frontend.yaml': serviceYaml('frontend') });
  const app = fastify({ http2: true });
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.post('/echo', async (incoming, reply) => reply.send(incoming.body));
  app.get('/version', async (incoming) => ({ version: incoming.raw.httpVersion, caller: incoming.headers['x-forwarded-client-cert'] ?? null }));
  app.get('/trailers', (_incoming, reply) => {
    reply.hijack();
    reply.raw.addTrailers({ 'x-sum': '42' });
    reply.raw.end('body');
  });
  const bare = () => createServer((incoming, response) => {
    if (incoming.url === '/trailers') {
      response.addTrailers({ 'x-sum': '42' });
      return void response.end('body');
    }
    if (incoming.method === 'POST') return void incoming.pipe(response);
    response.end(JSON.stringify({ version: incoming.httpVersion, caller: incoming.headers['x-forwarded-client-cert'] ?? null }));
  });
  for (const [name, target] of [['framework', app], ['bare', bare()], ['plain', bare()]] as const) {
    const workload = await mesh.workload(name);
    await workload.server.listen(target as never, { port: 0, host: '127.0.0.1', name: 'web' });
    await workload.server.ready();
  }
  frontend = await mesh.workload('frontend');
});

afterAll(() => mesh.close());

function viaAgent(url: string, body?: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => http.request(url, { agent: frontend.client.agent, method: body === undefined ? 'GET' : 'POST' }, resolve).on('error', reject).end(body));
}

test.each(['framework', 'bare', 'plain'])('%s is spoken to in HTTP/2 by every client', async (name) => {
  const { client } = frontend;
  const caller = name === 'plain' ? null : expect.stringContaining('/sa/frontend') as string;
  const version = { version: '2.0', caller };
  expect(await (await client.request(`http://${name}/version`)).body.json()).toEqual(version);
  expect(await (await client.fetch(`http://${name}/version`)).json()).toEqual(version);
  expect(await (await request(`http://${name}/version`, { dispatcher: client.dispatcher })).body.json()).toEqual(version);
  expect(JSON.parse(await text(await viaAgent(`http://${name}/version`)))).toEqual(version);
  const large = 'x'.repeat(300_000);
  expect(await (await client.request(`http://${name}/echo`, { method: 'POST', body: large })).body.text()).toBe(large);
  expect(await text(await viaAgent(`http://${name}/echo`, large))).toBe(large);
});

test.each(['framework', 'bare', 'plain'])('trailers of %s arrive', async (name) => {
  const { client } = frontend;
  const lean = await client.request(`http://${name}/trailers`);
  expect([await lean.body.text(), lean.trailers]).toEqual(['body', { 'x-sum': '42' }]);
  const undici = await request(`http://${name}/trailers`, { dispatcher: client.dispatcher });
  expect([await undici.body.text(), undici.trailers]).toEqual(['body', { 'x-sum': '42' }]);
  const node = await viaAgent(`http://${name}/trailers`);
  expect([await text(node), node.trailers]).toEqual(['body', { 'x-sum': '42' }]);
});

test('an upgrade fails where the host has no extended CONNECT', async () => {
  const status = await new Promise((resolve) => {
    const upgrade = http.get('http://bare/', { agent: frontend.client.agent, headers: { connection: 'Upgrade', upgrade: 'websocket' } });
    upgrade.on('response', ({ statusCode }) => resolve(statusCode)).on('upgrade', () => resolve(101)).on('error', resolve);
  });
  expect(status).toBe(503);
});
