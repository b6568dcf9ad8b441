import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { HandMadeMesh, retryPolicy, route } from '../../test-support/hand-made-mesh.js';
import { closedPort, testServer, type TestServer } from '../../test-support/test-server.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function server(...args: Parameters<typeof testServer>): Promise<TestServer> {
  const started = await testServer(...args);
  cleanups.push(() => started.close());
  return started;
}

function mesh(options?: ConstructorParameters<typeof HandMadeMesh>[0]): HandMadeMesh {
  const made = new HandMadeMesh(options);
  cleanups.push(() => made.close());
  return made;
}

const echo: Parameters<typeof testServer>[0] = (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
    response.setHeader('x-method', request.method!);
    response.setHeader('x-path', request.url!);
    response.setHeader('x-host', request.headers.host ?? '');
    response.end(Buffer.concat(chunks));
  });
};

test('a request reaches the service under its logical host, with every form of body', async () => {
  const { port } = await server(echo);
  const { client } = mesh().add('payments', { ports: [port] });
  const get = await client.request('http://payments/a?b=1');
  expect(get.statusCode).toBe(200);
  expect(get.headers).toMatchObject({ 'x-method': 'GET', 'x-path': '/a?b=1', 'x-host': 'payments' });
  expect(await get.body.text()).toBe('');
  async function* generator() { yield 'ab'; yield Buffer.from('cd'); }
  const bodies = ['abcd', Buffer.from('abcd'), new TextEncoder().encode('abcd').buffer, new Blob(['abcd']), Readable.from(['ab', 'cd']), generator(), new Blob(['abcd']).stream()];
  for (const body of bodies) {
    const response = await client.request('http://payments/', { method: 'POST', body });
    expect(await response.body.text()).toBe('abcd');
  }
  const query = await client.request('http://payments:80/q', { query: { a: 1, b: 'x y' } });
  expect(query.headers['x-path']).toBe('/q?a=1&b=x%20y');
  await query.body.dump();
});

test('the body has the shortcuts of undici, once', async () => {
  const { port } = await server((_request, response) => response.setHeader('content-type', 'application/json').end('\uFEFF{"a":1}'));
  const { client } = mesh().add('payments', { ports: [port] });
  const body = async () => (await client.request('http://payments/')).body;
  expect(await (await body()).json()).toEqual({ a: 1 });
  expect((await (await body()).arrayBuffer()).byteLength).toBe(10);
  expect((await (await body()).bytes()).length).toBe(10);
  const blob = await (await body()).blob();
  expect([blob.size, blob.type]).toEqual([10, 'application/json']);
  const chunks: Buffer[] = [];
  for await (const chunk of await body()) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).length).toBe(10);
  const used = await body();
  await used.text();
  expect(used.bodyUsed).toBe(true);
  await expect(used.text()).rejects.toThrow('read already');
});

test('HEAD, 204 and 304 have no body, trailers follow the body', async () => {
  const { port } = await server((request, response) => {
    if (request.url === '/trailers') {
      response.writeHead(200, { trailer: 'x-sum' });
      response.write('body');
      response.addTrailers({ 'x-sum': '4' });
      response.end();
    } else response.writeHead(Number(request.url!.slice(1)), request.method === 'HEAD' ? { 'content-length': 5 } : {}).end();
  });
  const { client } = mesh().add('payments', { ports: [port] });
  for (const status of [204, 304]) {
    const response = await client.request(`http://payments/${status}`);
    expect([response.statusCode, await response.body.text()]).toEqual([status, '']);
  }
  const head = await client.request('http://payments/200', { method: 'HEAD' });
  expect([head.headers['content-length'], await head.body.text()]).toEqual(['5', '']);
  const trailers = await client.request('http://payments/trailers');
  expect(await trailers.body.text()).toBe('body');
  expect(trailers.trailers).toEqual({ 'x-sum': '4' });
});

test('requests take turns over the hosts', async () => {
  const servers = [await server(echo), await server(echo), await server(echo)];
  const { client } = mesh().add('payments', { ports: servers.map(({ port }) => port) });
  for (let i = 0; i < 30; i++) await (await client.request('http://payments/')).body.text();
  expect(servers.map(({ requests }) => requests)).toEqual([10, 10, 10]);
});

test('a host that refuses connections is retried elsewhere, also for POST with a streamed body', async () => {
  const alive = await server(echo);
  const { client, ended } = mesh().add('payments', { ports: [await closedPort(), alive.port], retryPolicy: retryPolicy(['connect-failure']) });
  for (let i = 0; i < 6; i++) {
    const response = await client.request('http://payments/', { method: 'POST', body: Readable.from(['ab', 'cd']) });
    expect([response.statusCode, await response.body.text()]).toEqual([200, 'abcd']);
  }
  expect(alive.requests).toBe(6);
  expect(new Set(ended.map(({ attempts }) => attempts))).toContain(2);
});

test('without a retry policy the failure is Envoy\'s 503', async () => {
  const { client, ended } = mesh().add('payments', { ports: [await closedPort()] });
  const response = await client.request('http://payments/');
  expect(response.statusCode).toBe(503);
  expect(await response.body.text()).toMatch(/^upstream connect error or disconnect\/reset before headers. reset reason: remote connection failure, transport failure reason: .*ECONNREFUSED/);
  expect(ended[0]).toMatchObject({ status: 503, flags: ['UF'], attempts: 1 });
});

test('a discarded response is drained, so that its connection serves the next attempt', async () => {
  let n = 0;
  const flaky = await server((_request, response) => (++n % 2 === 1 ? response.writeHead(503).end('x'.repeat(10_000)) : response.end('ok')));
  const { client } = mesh().add('payments', { ports: [flaky.port], retryPolicy: retryPolicy(['5xx']) });
  for (let i = 0; i < 20; i++) expect(await (await client.request('http://payments/')).body.text()).toBe('ok');
  expect(flaky.requests).toBe(40);
  expect(flaky.connections).toBeLessThan(4);
});

test('the last response is passed on when the attempts are used up', async () => {
  const broken = await server((_request, response) => response.writeHead(500).end('broken'));
  const { client, ended } = mesh().add('payments', { ports: [broken.port], retryPolicy: retryPolicy(['5xx']), includeRequestAttemptCount: true });
  const response = await client.request('http://payments/');
  expect([response.statusCode, await response.body.text(), broken.requests]).toEqual([500, 'broken', 3]);
  expect(ended[0]!.flags).toEqual(['URX']);
});

test('a streamed body beyond the replay buffer is sent once', async () => {
  const broken = await server((request, response) => request.resume().on('end', () => response.writeHead(503).end()));
  const { client } = mesh({ replayBytes: 1000 }).add('payments', { ports: [broken.port], retryPolicy: retryPolicy(['5xx']) });
  const response = await client.request('http://payments/', { method: 'POST', body: Readable.from(['x'.repeat(600), 'y'.repeat(600)]) });
  await response.body.dump();
  expect([response.statusCode, broken.requests]).toEqual([503, 1]);
  await (await client.request('http://payments/', { method: 'POST', body: Readable.from(['x'.repeat(600)]) })).body.dump();
  expect(broken.requests).toBe(4);
});

test('no route, no cluster, redirect and direct response are answered without an upstream', async () => {
  const routes = [
    route({ prefix: '/old', action: { kind: 'redirect', status: 301, https: false, host: 'new', stripQuery: false } }),
    route({ prefix: '/direct', action: { kind: 'direct-response', status: 418, body: Buffer.from('teapot') } }),
    route({ prefix: '/missing', cluster: 'nowhere' }),
  ];
  const { client, ended } = mesh().add('payments', { ports: [], routes });
  const results = [];
  for (const path of ['old', 'direct', 'missing', 'none']) {
    const { statusCode, headers, body } = await client.request(`http://payments/${path}`);
    results.push([statusCode, headers['location'], await body.text()]);
  }
  expect(results).toEqual([[301, 'http://new/old', ''], [418, undefined, 'teapot'], [503, undefined, 'no cluster nowhere'], [404, undefined, '']]);
  expect(ended.map(({ flags }) => flags)).toEqual([[], [], ['NC'], ['NR']]);
});

test('the route timeout answers 504 and counts from the end of the request', async () => {
  const slow = await server(() => {});
  const { client, ended } = mesh().add('payments', { ports: [slow.port], routes: [route({ cluster: 'outbound|80||payments', timeoutMs: 50 })] });
  const response = await client.request('http://payments/');
  expect([response.statusCode, await response.body.text()]).toEqual([504, 'upstream request timeout']);
  expect(ended[0]!.flags).toEqual(['UT']);
});

test('a response that breaks off rejects its reader', async () => {
  const { port } = await server((_request, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('part', () => response.destroy());
  });
  const { client, ended } = mesh().add('payments', { ports: [port] });
  const response = await client.request('http://payments/');
  await expect(response.body.text()).rejects.toMatchObject({ code: 'WEFT_UPSTREAM_RESET' });
  expect(ended[0]).toMatchObject({ status: 200, flags: ['UC'] });
});

test('an aborted signal ends the request at the host and its accounting', async () => {
  let closed = false;
  const slow = await server((_request, response) => response.once('close', () => (closed = true)));
  const { client, ended, clusters } = mesh().add('payments', { ports: [slow.port] });
  const controller = new AbortController();
  const response = client.request('http://payments/', { signal: controller.signal });
  await vi.waitFor(() => expect(slow.requests).toBe(1));
  controller.abort(new Error('enough'));
  await expect(response).rejects.toThrow('enough');
  await vi.waitFor(() => expect(closed).toBe(true));
  expect(ended[0]!.flags).toEqual(['DC']);
  expect(clusters.get('payments')!.hosts[0]!.activeRequests).toBe(0);
});

test('an invalid header is the caller\'s error, no host\'s', async () => {
  const { port } = await server(echo);
  const { client, clusters } = mesh().add('payments', { ports: [port], retryPolicy: retryPolicy(['5xx', 'reset']) });
  await expect(client.request('http://payments/', { headers: { 'bad name': 'x' } })).rejects.toMatchObject({ code: 'UND_ERR_INVALID_ARG' });
  expect(clusters.get('payments')!.hosts[0]!.activeRequests).toBe(0);
});

test('a failing body stream rejects with its own error', async () => {
  const { port } = await server(echo);
  const { client } = mesh().add('payments', { ports: [port], retryPolicy: retryPolicy(['5xx', 'reset']) });
  async function* broken() { yield 'a'; throw new Error('disk gone'); }
  await expect(client.request('http://payments/', { method: 'POST', body: broken() })).rejects.toThrow('disk gone');
});

test('unknown single-label hosts fail, CONNECT and TLS to a port of HTTP are refused', async () => {
  const { port } = await server(echo);
  const { client } = mesh().add('payments', { ports: [port] });
  await expect(client.request('http://nobody/')).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST' });
  await expect(client.request('http://payments/', { method: 'CONNECT' })).rejects.toMatchObject({ code: 'WEFT_UNSUPPORTED' });
  await expect(client.request('https://payments:80/')).rejects.toMatchObject({ code: 'WEFT_WRONG_PROTOCOL' });
});

test('close waits for what runs and refuses what comes', async () => {
  let answer = () => {};
  const slow = await server((_request, response) => (answer = () => response.end('done')));
  const made = mesh().add('payments', { ports: [slow.port] });
  const running = made.client.request('http://payments/').then(({ body }) => body.text());
  await vi.waitFor(() => expect(slow.requests).toBe(1));
  const closed = made.client.close();
  await expect(made.client.request('http://payments/')).rejects.toMatchObject({ code: 'WEFT_CLOSED' });
  answer();
  expect(await running).toBe('done');
  await closed;
});

test('close gives up what does not end in time', async () => {
  const { port } = await server((_request, response) => void response.write('x'));
  const made = mesh({ drainTimeoutMs: 50 }).add('payments', { ports: [port] });
  const { body } = await made.client.request('http://payments/');
  await made.client.close();
  await expect(body.text()).rejects.toMatchObject({ code: 'WEFT_CLOSED' });
});

test('a keep-alive connection that was closed is not used again; one that the server closes because of the request is a reset', async () => {
  let kept: Socket | undefined;
  const closing = await server((request, response) => {
    kept = request.socket;
    if (request.url === '/reset') kept.destroy();
    else response.end('ok');
  });
  const { client } = mesh().add('payments', { ports: [closing.port], retryPolicy: retryPolicy(['connect-failure', 'reset-before-request']) });
  const request = async (path: string, method = 'GET') => {
    const { statusCode, body } = await client.request(`http://payments${path}`, { method });
    await body.dump();
    // undici lets a connection rest for a turn of the event loop before it uses it again.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    return statusCode;
  };
  expect(await request('/')).toBe(200);
  // Gone, but nothing of this process has had the time to hear of it.
  kept!.destroy();
  expect(await request('/', 'POST')).toBe(200);
  const first = kept;
  expect([await request('/reset'), kept === first]).toEqual([503, true]);
});

test('a direct response of a status that has no body has none', async () => {
  const { client } = mesh().add('payments', { ports: [], routes: [route({ action: { kind: 'direct-response', status: 304, body: Buffer.from('gone') } })] });
  const { statusCode, headers, body } = await client.request('http://payments/');
  expect([statusCode, headers['content-type'], headers['content-length'], await body.text()]).toEqual([304, 'text/plain', undefined, '']);
});
