// Retries, hedges and their ends over real sockets, through undici.
import { runInContext } from '@weft/data-plane/internal';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { request } from 'undici';
import { afterEach, expect, test, vi } from 'vitest';
import { HandMadeMesh, retryPolicy, route } from '../../test-support/hand-made-mesh.js';
import { testServer, type TestServer } from '../../test-support/test-server.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function server(handler: Handler): Promise<TestServer> {
  const started = await testServer(handler);
  cleanups.push(() => started.close());
  return started;
}

function mesh(): HandMadeMesh {
  const made = new HandMadeMesh();
  cleanups.push(() => made.close());
  return made;
}

const cluster = 'outbound|80||payments';
const hedging = (perTryTimeoutMs = 50) => route({ cluster, hedgePolicy: { onPerTryTimeout: true }, retryPolicy: retryPolicy(['connect-failure'], { perTryTimeoutMs, numRetries: 1 }) });

/** Two hosts: the first request to come gets the first handler, the next one the second. */
async function inTurn(...handlers: Handler[]) {
  const closed: number[] = [];
  let came = 0;
  const arrivals: number[] = [];
  const handler: Handler = (incoming, response) => {
    const turn = came++;
    arrivals.push(incoming.socket.localPort!);
    response.once('close', () => response.writableFinished || closed.push(turn));
    handlers[turn]!(incoming, response);
  };
  const servers = [await server(handler), await server(handler)];
  return { ports: servers.map(({ port }) => port), closed, arrivals, get came() { return came; } };
}

const active = (made: HandMadeMesh) => made.clusters.get('payments')!.hosts.reduce((sum, host) => sum + host.activeRequests, 0);

test('the second of two attempts answers, and the first is given up', async () => {
  const hosts = await inTurn(() => {}, (_request, response) => response.end('second'));
  const made = mesh().add('payments', { ports: hosts.ports, routes: [hedging()] });
  const response = await made.client.request('http://payments/');
  expect(await response.body.text()).toBe('second');
  await vi.waitFor(() => expect([hosts.closed, active(made)]).toEqual([[0], 0]));
  expect(made.ended[0]).toMatchObject({ attempts: 2, status: 200 });
});

test('the late one of two attempts answers, with all of its body, and the other is given up', async () => {
  let finish = () => {};
  const hosts = await inTurn((_request, response) => (finish = () => {
    response.write('la');
    setImmediate(() => response.end('te'));
  }), () => finish());
  const made = mesh().add('payments', { ports: hosts.ports, routes: [hedging()] });
  const response = await request('http://payments/', { dispatcher: made.client.dispatcher, method: 'POST', body: 'x' });
  expect(await response.body.text()).toBe('late');
  await vi.waitFor(() => expect([hosts.closed, active(made)]).toEqual([[1], 0]));
  expect(made.ended[0]).toMatchObject({ attempts: 2, upstreamAddress: `127.0.0.1:${hosts.arrivals[0]}` });
});

test('an aborted request ends at all of its hosts', async () => {
  const hosts = await inTurn(() => {}, () => {});
  const made = mesh().add('payments', { ports: hosts.ports, routes: [hedging()] });
  const controller = new AbortController();
  const response = made.client.request('http://payments/', { signal: controller.signal });
  await vi.waitFor(() => expect(hosts.came).toBe(2));
  controller.abort(new Error('enough'));
  await expect(response).rejects.toThrow('enough');
  await vi.waitFor(() => expect([hosts.closed.toSorted(), active(made)]).toEqual([[0, 1], 0]));
});

test('a body is sent again up to the route\'s limit; a longer one goes on and is not retried', async () => {
  const received: number[] = [];
  const failing = await server((incoming, response) => {
    let bytes = 0;
    incoming.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('end', () => {
      received.push(bytes);
      response.writeHead(503).end();
    });
  });
  const limited = { ...route({ cluster, retryPolicy: retryPolicy(['5xx']) }), bufferLimitBytes: 1000 };
  const { client } = mesh().add('payments', { ports: [failing.port], routes: [limited] });
  async function* chunks(count: number) { for (let i = 0; i < count; i++) yield Buffer.alloc(100); }
  const send = async (body: AsyncIterable<Buffer> | Buffer) => {
    received.length = 0;
    await (await client.request('http://payments/', { method: 'POST', body })).body.dump();
    return [...received];
  };
  expect(await send(chunks(10))).toEqual([1000, 1000, 1000]);
  expect(await send(chunks(11))).toEqual([1100]);
  expect(await send(Buffer.alloc(1000))).toEqual([1000, 1000, 1000]);
  expect(await send(Buffer.alloc(1001))).toEqual([1001]);
});

test('a streamed body flows while it is kept: the host has its start before its end is made', async () => {
  let first = () => {};
  const started = new Promise<void>((resolve) => (first = resolve));
  const upstream = await server((incoming, response) => {
    incoming.once('data', first).on('end', () => response.end('all'));
  });
  const { client } = mesh().add('payments', { ports: [upstream.port], retryPolicy: retryPolicy(['5xx']) });
  async function* body() {
    yield 'start';
    await started;
    yield 'end';
  }
  expect(await (await client.request('http://payments/', { method: 'POST', body: body() })).body.text()).toBe('all');
});

test('after an informational response there is no other attempt', async () => {
  const hints = await server((_request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    response.writeHead(503).end();
  });
  const made = mesh().add('payments', { ports: [hints.port], retryPolicy: retryPolicy(['5xx']) });
  expect((await made.client.request('http://payments/')).statusCode).toBe(503);
  expect(hints.requests).toBe(1);
});

test('a host that is silent too long costs its attempt only', async () => {
  const hosts = await inTurn(() => {}, (_request, response) => response.end('second'));
  const { client } = mesh().add('payments', { ports: hosts.ports, retryPolicy: retryPolicy(['5xx'], { perTryIdleTimeoutMs: 500 }) });
  expect(await (await client.request('http://payments/')).body.text()).toBe('second');
});

test('a response that stops in the middle for longer than the route allows breaks off', async () => {
  const stalled = await server((incoming, response) => void (incoming.url === '/whole' ? response.end() : response.write('part')));
  const made = mesh().add('payments', { ports: [stalled.port], routes: [route({ cluster, idleTimeoutMs: 1000 })] });
  await (await made.client.request('http://payments/whole')).body.dump();
  const response = await made.client.request('http://payments/');
  await expect(response.body.text()).rejects.toMatchObject({ code: 'WEFT_UPSTREAM_TIMEOUT' });
  expect(made.ended[1]).toMatchObject({ flags: ['SI'], responseCodeDetails: 'stream_idle_timeout' });
});

test('a request ends with the inbound request that it serves: when its caller goes away, and when its time is over', async () => {
  const hosts = await inTurn(() => {}, () => {}, () => {});
  const made = mesh().add('payments', { ports: hosts.ports });
  const controller = new AbortController();
  const cancelled = runInContext({ signal: controller.signal }, () => made.client.request('http://payments/'));
  await vi.waitFor(() => expect(hosts.came).toBe(1));
  controller.abort(new Error('the caller went away'));
  await expect(cancelled).rejects.toThrow('the caller went away');
  await vi.waitFor(() => expect(hosts.closed).toEqual([0]));
  const late = await runInContext({ deadline: performance.now() + 1000 }, () => made.client.request('http://payments/'));
  expect([late.statusCode, hosts.came]).toEqual([504, 2]);
  const over = await runInContext({ deadline: performance.now() - 1 }, () => made.client.request('http://payments/'));
  expect([over.statusCode, hosts.came]).toEqual([504, 2]);
});
