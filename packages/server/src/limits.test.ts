// How long a listener lets requests take, for callers that do not finish theirs; handlers that do not answer stand in the conformance cases.
import { createServer } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { TestListener } from '@weft/data-plane/testing';
import { afterEach, expect, it } from 'vitest';
import { raw, request, statusOf, testMesh } from './testing.js';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0).reverse()) await item.close();
});

const local = { port: 0, host: '127.0.0.1' };
const unfinished = request('/', ['content-length: 10'], 'POST') + 'abc';

function start(listener: TestListener) {
  const test = testMesh({ listener });
  open.push(test);
  return test;
}

it.each([
  ['request_timeout', { requestTimeoutMs: 80 }, 'request timeout', []],
  ['stream_idle_timeout', { streamIdleTimeoutMs: 80 }, 'stream timeout', ['SI']],
  ['max_stream_duration', { maxStreamDurationMs: 80 }, 'downstream duration timeout', []],
])('a request that never ends gets 408 by %s', async (_name, http, body, flags) => {
  const { mesh, infos } = start({ http });
  const { port } = await mesh.listen(createServer((req, res) => void req.resume().on('end', () => res.end())), local);
  const text = await raw(port, unfinished, { keepOpen: true });
  expect([statusOf(text), text.split('\r\n\r\n')[1], infos.map((info) => info.flags)]).toEqual([408, body, [flags]]);
});

it('the same over HTTP/2', async () => {
  const { mesh } = start({ http: { requestTimeoutMs: 80 } });
  const { port } = await mesh.listen(createHttp2Server((req, res) => void req.resume().on('end', () => res.end())) as never, local);
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  open.push(session);
  const stream = session.request({ ':path': '/', ':method': 'POST' });
  stream.write('abc');
  const status = await new Promise((resolve, reject) => stream.on('response', (headers) => resolve(headers[':status'])).on('error', reject));
  expect(status).toBe(408);
});

it('who answers before the request is complete is not cut short by request_timeout', async () => {
  const { mesh } = start({ http: { requestTimeoutMs: 80, maxStreamDurationMs: 250 } });
  const { port } = await mesh.listen(createServer((_req, res) => void res.write('begun')), local);
  const begun = performance.now();
  expect(await raw(port, unfinished, { keepOpen: true })).toContain('begun');
  expect(performance.now() - begun).toBeGreaterThan(200);
});
