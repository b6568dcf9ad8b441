import { Agent, getGlobalDispatcher, interceptors, MockAgent, request, setGlobalDispatcher, type Dispatcher } from 'undici';
import { afterEach, expect, test, vi } from 'vitest';
import { HandMadeMesh, retryPolicy } from '../../test-support/hand-made-mesh.js';
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

const echo: Parameters<typeof testServer>[0] = (incoming, response) => {
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
    response.setHeader('x-host', incoming.headers.host ?? '');
    response.setHeader('set-cookie', ['a=1', 'b=2']);
    response.end(Buffer.concat(chunks));
  });
};

test('mesh.fetch sends GET, strings, streams and forms, also again after a failed attempt', async () => {
  const { port } = await server(echo);
  const { client } = mesh().add('payments', { ports: [await closedPort(), port], retryPolicy: retryPolicy(['connect-failure']) });
  const get = await client.fetch('http://payments/x');
  expect(get).toBeInstanceOf(Response);
  expect([get.status, get.headers.get('x-host'), get.headers.getSetCookie()]).toEqual([200, 'payments', ['a=1', 'b=2']]);
  expect(await (await client.fetch('http://payments/', { method: 'POST', body: 'text' })).text()).toBe('text');
  const stream = new Blob(['streamed']).stream();
  expect(await (await client.fetch('http://payments/', { method: 'POST', body: stream, duplex: 'half' } as RequestInit)).text()).toBe('streamed');
  const form = new FormData();
  form.set('field', 'value');
  expect(await (await client.fetch('http://payments/', { method: 'POST', body: form })).text()).toContain('name="field"');
  expect(await (await client.fetch(new Request('http://payments/', { method: 'PUT', body: 'object' }))).text()).toBe('object');
});

test('fetch can be aborted, and its response streams with back-pressure', async () => {
  let written = 0;
  const { port } = await server((_incoming, response) => {
    const chunk = Buffer.alloc(65_536);
    const write = () => {
      while (written < 64 * 1024 * 1024 && response.write(chunk)) written += chunk.length;
      written += chunk.length;
    };
    response.on('drain', write);
    write();
  });
  const { client, ended } = mesh().add('payments', { ports: [port] });
  const controller = new AbortController();
  const response = await client.fetch('http://payments/', { signal: controller.signal });
  const reader = response.body!.getReader();
  await reader.read();
  let before = -1;
  await vi.waitFor(() => {
    const now = written;
    const stopped = now === before;
    before = now;
    expect(stopped).toBe(true);
  }, { interval: 100 });
  expect(written).toBeLessThan(32 * 1024 * 1024);
  controller.abort();
  await expect((async () => { for (;;) if ((await reader.read()).done) return; })()).rejects.toThrow();
  await vi.waitFor(() => expect(ended[0]?.flags).toEqual(['DC']));
});

test('undici\'s request, interceptors and raw headers work over the dispatcher', async () => {
  const { port } = await server(echo);
  const { client } = mesh().add('payments', { ports: [port] });
  const plain = await request('http://payments/a', { dispatcher: client.dispatcher, method: 'POST', body: 'body' });
  expect([plain.statusCode, plain.headers['x-host'], await plain.body.text()]).toEqual([200, 'payments', 'body']);
  const composed = client.dispatcher.compose(interceptors.dump({ maxSize: 1000 }));
  expect((await composed.request({ origin: 'http://payments', path: '/', method: 'GET' })).statusCode).toBe(200);
  const raw = await request('http://payments/a', { dispatcher: client.dispatcher, responseHeaders: 'raw' });
  expect((raw.headers as unknown as string[]).map((text) => text.toLowerCase())).toContain('x-host');
  await raw.body.dump();
});

test('handlers of undici 6 and 7 are served', async () => {
  const { port } = await server(echo);
  const { client } = mesh().add('payments', { ports: [port] });
  const events: unknown[] = [];
  await new Promise<void>((resolve, reject) => {
    client.dispatcher.dispatch({ origin: 'http://payments', path: '/', method: 'POST', body: 'old' }, {
      onConnect: () => events.push('connect'),
      onHeaders: (status: number, headers: Buffer[]) => (events.push(status, headers.map(String).includes('payments')), true),
      onData: (chunk: Buffer) => (events.push(String(chunk)), true),
      onComplete: () => resolve(),
      onError: reject,
    } as Dispatcher.DispatchHandler);
  });
  expect(events).toEqual(['connect', 200, true, 'old']);
});

test('install puts global fetch in the mesh, passes other hosts to the dispatcher before, and is undone', async () => {
  const inside = await server(echo);
  const outside = await server((_incoming, response) => response.end('outside'));
  const before = getGlobalDispatcher();
  const passed: string[] = [];
  const agent = new Agent();
  cleanups.push(() => agent.close());
  const proxy = agent.compose((dispatch) => (options, handler) => (passed.push(String(options.origin)), dispatch(options, handler)));
  setGlobalDispatcher(proxy);
  try {
    const { client } = mesh().add('payments', { ports: [inside.port] });
    const uninstall = client.install();
    expect((await fetch('http://payments/')).headers.get('x-host')).toBe('payments');
    expect(await (await fetch(`http://127.0.0.1:${outside.port}/`)).text()).toBe('outside');
    expect(await (await client.request(`http://127.0.0.1:${outside.port}/`)).body.text()).toBe('outside');
    expect(passed).toEqual([`http://127.0.0.1:${outside.port}`, `http://127.0.0.1:${outside.port}`]);
    await expect(fetch('http://nobody/')).rejects.toMatchObject({ cause: { code: 'WEFT_UNKNOWN_HOST' } });
    uninstall();
    expect(getGlobalDispatcher()).toBe(proxy);
  } finally {
    setGlobalDispatcher(before);
  }
});

test('https to a port of HTTP is refused and says why; to hosts outside it passes through', async () => {
  const { client } = mesh().add('payments', { ports: [1] });
  const refused = { code: 'WEFT_WRONG_PROTOCOL', message: expect.stringContaining('is HTTP in the mesh; dial http://') as string };
  await expect(client.request('https://payments:80/')).rejects.toMatchObject(refused);
  await expect(client.fetch('https://payments:80/')).rejects.toMatchObject({ cause: refused });
  const outside = new MockAgent();
  outside.disableNetConnect();
  outside.get('https://api.example.com').intercept({ path: '/' }).reply(200, 'outside').times(2);
  client.dispatcher.fallback = () => outside;
  expect(await (await client.request('https://api.example.com/')).body.text()).toBe('outside');
  expect(await (await client.fetch('https://api.example.com/')).text()).toBe('outside');
});

test('REGISTRY_ONLY lets nothing out of the mesh', async () => {
  const outside = await server(echo);
  const { client } = mesh({ outboundTrafficPolicy: 'REGISTRY_ONLY' });
  await expect(client.request(`http://127.0.0.1:${outside.port}/`)).rejects.toMatchObject({ code: 'WEFT_UNKNOWN_HOST' });
  await expect(client.fetch(`http://127.0.0.1:${outside.port}/`)).rejects.toThrow();
  expect(outside.requests).toBe(0);
});

test('requests to a mesh name wait for its configuration', async () => {
  const { port } = await server(echo);
  const made = mesh().add('payments', { ports: [port] });
  const { snapshot } = made.states.get('payments:80')!;
  let known = () => {};
  const waiting = new Promise<void>((resolve) => (known = resolve));
  const state = { snapshot: undefined as typeof snapshot, state: 'pending' as 'pending' | 'ready', wait: () => waiting };
  made.states.set('payments:80', state);
  const results = [made.client.request('http://payments/').then(({ statusCode }) => statusCode), made.client.fetch('http://payments/').then(({ status }) => status)];
  Object.assign(state, { snapshot, state: 'ready' });
  known();
  expect(await Promise.all(results)).toEqual([200, 200]);
});

test('1xx responses reach who asked for them', async () => {
  const { port } = await server((_incoming, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' });
    response.end('ok');
  });
  const { client } = mesh().add('payments', { ports: [port] });
  const hints: number[] = [];
  const response = await client.request('http://payments/', { onInfo: ({ statusCode }) => hints.push(statusCode) });
  expect([hints, await response.body.text()]).toEqual([[103], 'ok']);
});
