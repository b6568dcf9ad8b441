import { AsyncLocalStorage } from 'node:async_hooks';
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test, vi } from 'vitest';
import { HandMadeMesh, retryPolicy } from '../../test-support/hand-made-mesh.js';
import { testServer, type TestServer } from '../../test-support/test-server.js';

const cleanups: (() => unknown)[] = [];
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

const echo: Parameters<typeof testServer>[0] = async (request, response) => {
  response.writeHead(200, 'Fine', { 'x-host': request.headers.host ?? '', 'x-headers': Object.keys(request.headers).join(), 'set-cookie': ['a=1', 'b=2'] });
  response.end(await text(request));
};

function send(options: RequestOptions | string, body?: string | Buffer | readonly string[]): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.request(options, resolve);
    request.on('error', reject);
    if (Array.isArray(body)) for (const part of body) request.write(part);
    request.end(Array.isArray(body) ? undefined : body);
  });
}

test('requests of node:http go through the engine, bodies in both directions', async () => {
  const { port } = await server(echo);
  const made = mesh().add('payments', { ports: [port] });
  const { agent } = made.client;
  const got = await send({ host: 'payments', path: '/a?b=c', agent, headers: { Connection: 'keep-alive, x-private', 'x-private': '1', 'x-own': '2' } });
  expect([got.statusCode, got.statusMessage, got.headers['x-host'], got.headers['set-cookie']]).toEqual([200, 'Fine', 'payments', ['a=1', 'b=2']]);
  expect(got.headers['x-headers']).toContain('x-own');
  expect(got.headers['x-headers']).not.toContain('x-private');
  expect(await text(got)).toBe('');
  expect(await text(await send({ host: 'payments', method: 'POST', agent }, 'whole'))).toBe('whole');
  expect(await text(await send({ host: 'payments', method: 'POST', agent }, ['streamed ', 'parts']))).toBe('streamed parts');
  expect(made.ended.map(({ method, status }) => [method, status])).toEqual([['GET', 200], ['POST', 200], ['POST', 200]]);
  expect(Object.keys(agent.freeSockets)).toHaveLength(1);
});

test('attempts, answers of the mesh and errors are those of every other request', async () => {
  let failures = 2;
  const { port } = await server((_request, response) => response.writeHead(failures-- > 0 ? 503 : 200).end('done'));
  const { client } = mesh().add('payments', { ports: [port], retryPolicy: retryPolicy(['5xx']) }).add('empty', { ports: [] });
  const { agent } = client;
  const retried = await send({ host: 'payments', method: 'POST', agent }, ['streamed']);
  expect([retried.statusCode, await text(retried)]).toEqual([200, 'done']);
  const none = await send({ host: 'empty', agent });
  expect([none.statusCode, await text(none)]).toEqual([503, expect.stringContaining('no healthy upstream')]);
  await expect(send({ host: 'nobody', agent })).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST' });
});

test('an abort ends the attempt, a response streams with back-pressure', async () => {
  let written = 0;
  const { port } = await server((_request, response) => {
    const chunk = Buffer.alloc(65_536);
    const write = () => {
      while (written < 64 * 1024 * 1024 && response.write(chunk)) written += chunk.length;
      written += chunk.length;
    };
    response.on('drain', write);
    write();
  });
  const made = mesh().add('payments', { ports: [port] });
  const response = await send({ host: 'payments', agent: made.client.agent });
  let before = -1;
  await vi.waitFor(() => {
    const now = written;
    const stopped = now === before;
    before = now;
    expect(stopped).toBe(true);
  }, { interval: 100 });
  expect(written).toBeLessThan(32 * 1024 * 1024);
  response.destroy();
  await vi.waitFor(() => expect(made.ended[0]?.flags).toEqual(['DC']));
});

test('an upload is read no faster than the host takes it', async () => {
  const { port } = await server((request) => void request.pause());
  const { client } = mesh().add('payments', { ports: [port] });
  const request = http.request({ host: 'payments', method: 'POST', agent: client.agent });
  request.on('error', () => {});
  let sent = 0;
  const chunk = Buffer.alloc(65_536);
  const write = () => {
    while (sent < 64 * 1024 * 1024 && request.write(chunk)) sent += chunk.length;
    sent += chunk.length;
  };
  request.on('drain', write);
  write();
  let before = -1;
  await vi.waitFor(() => {
    const now = sent;
    const stopped = now === before && now > 0;
    before = now;
    expect(stopped).toBe(true);
  }, { interval: 100 });
  expect(sent).toBeLessThan(32 * 1024 * 1024);
  request.destroy();
});

test('100-continue, early hints and trailers pass', async () => {
  const { port } = await server(async (request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' });
    response.writeHead(200, { trailer: 'x-sum' });
    response.write(await text(request));
    response.addTrailers({ 'x-sum': '42' });
    response.end();
  });
  const { client } = mesh().add('payments', { ports: [port] });
  const request = http.request({ host: 'payments', method: 'POST', agent: client.agent, headers: { expect: '100-continue' } });
  const seen: string[] = [];
  request.on('information', ({ statusCode }) => seen.push(String(statusCode)));
  request.on('continue', () => {
    seen.push('continue');
    request.end('body');
  });
  request.flushHeaders();
  const response = await new Promise<IncomingMessage>((resolve, reject) => request.on('response', resolve).on('error', reject));
  expect(await text(response)).toBe('body');
  expect(response.trailers).toEqual({ 'x-sum': '42' });
  expect(seen).toEqual(expect.arrayContaining(['continue', '103']));
});

test('an answer does not fail with what Node would not write: hints in another form, letters in the reason', async () => {
  const answer = 'HTTP/1.1 103 Early Hints\r\nlink: garbage\r\n\r\nHTTP/1.1 200 F\u0001\u00efne\r\ncontent-length: 2\r\n\r\nok';
  const raw = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end(answer, 'latin1')));
  await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => raw.close());
  const { client } = mesh().add('payments', { ports: [(raw.address() as AddressInfo).port] });
  const response = await send({ host: 'payments', agent: client.agent });
  expect([response.statusCode, response.statusMessage, await text(response)]).toEqual([200, 'OK', 'ok']);
});

test('each request runs in the context it was made in, also on a connection that another one made', async () => {
  const { port } = await server(echo);
  const store = new AsyncLocalStorage<string>();
  const made = mesh().add('payments', { ports: [port] });
  const seen: (string | undefined)[] = [];
  const { dispatcher, agent } = made.client;
  const dispatch = dispatcher.dispatch.bind(dispatcher);
  dispatcher.dispatch = (...args) => {
    seen.push(store.getStore());
    return dispatch(...args);
  };
  for (const name of ['first', 'second']) await store.run(name, async () => text(await send({ host: 'payments', agent })));
  expect(seen).toEqual(['first', 'second']);
});

test('the timeout of a request and an early answer to a long upload leave the connection usable', async () => {
  const { port } = await server((request, response) => {
    if (request.url === '/silent') return;
    response.writeHead(413).end('too long');
  });
  const { client } = mesh().add('payments', { ports: [port] });
  const { agent } = client;
  const early = await send({ host: 'payments', method: 'POST', agent }, Buffer.alloc(1024 * 1024));
  expect([early.statusCode, await text(early)]).toEqual([413, 'too long']);
  const again = await send({ host: 'payments', agent });
  expect([again.statusCode, await text(again)]).toEqual([413, 'too long']);
  const slow = http.request({ host: 'payments', path: '/silent', agent, timeout: 20 });
  await new Promise<void>((resolve) => slow.on('timeout', () => resolve()).on('error', () => {}).end());
  slow.destroy();
});

test('install puts clients without an agent in the mesh, other hosts on the agent before; its undo takes them out', async () => {
  const { port } = await server(echo);
  const outside = await server((_request, response) => response.end('outside'));
  const { client } = mesh().add('payments', { ports: [port] });
  const before = http.globalAgent;
  const undo = client.install({ http: true });
  expect(http.globalAgent).toBe(client.agent);
  expect((await send('http://payments/')).headers['x-host']).toBe('payments');
  expect(await text(await send(`http://127.0.0.1:${outside.port}/`))).toBe('outside');
  undo();
  expect(http.globalAgent).toBe(before);
  await expect(send('http://payments.invalid/')).rejects.toMatchObject({ syscall: 'getaddrinfo' });
});
