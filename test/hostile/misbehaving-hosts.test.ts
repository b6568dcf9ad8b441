// Hosts that break connections at any moment, answer nonsense or nothing, and callers that give up: over real sockets, with retries, hedges,
// filters of bodies, mirrors and redirects. Every request ends once, nothing is left running, and nothing reaches the process.
import http from 'node:http';
import http2 from 'node:http2';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';
import { afterEach, expect, test, vi } from 'vitest';
import { HandMadeMesh, retryPolicy, route } from '../../packages/client/test-support/hand-made-mesh.js';
import { echoService } from '../../packages/client/test-support/grpc-echo.js';
import { testFilter, upperFilter } from '../../packages/data-plane/src/filter/test-filters.js';
import { seededRandom } from '../../packages/data-plane/src/route/test-support.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const seed = Number(process.env['WEFT_TEST_SEED'] ?? Date.now() % 2 ** 31);

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Raw HTTP/1.1: some prefix of some answer, in pieces, then one of several ends. */
function rudeHttp(random: () => number): Promise<number> {
  const one = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  return listening(createServer((socket) => {
    socket.on('data', () => void (async () => {
      const status = one([200, 200, 200, 204, 302, 404, 500, 503, 503]);
      const body = 'x'.repeat(one([0, 5, 100, 100_000]));
      const answer = one([
        `HTTP/1.1 ${status} Fine\r\ncontent-length: ${status === 204 ? 0 : body.length}\r\nlocation: http://payments/again\r\n\r\n${status === 204 ? '' : body}`,
        `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\nx-sum: 1\r\n\r\n`,
        'HTTP/1.1 103 Early Hints\r\nlink: what\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', 'HTTP/1.1 101 Odd\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n', 'HTTP/9.9 what\r\n\r\n', `HTTP/1.0 200 OK\r\n\r\n${body}`,
      ]);
      const upTo = random() < 0.6 ? answer.length : Math.floor(random() * answer.length);
      for (let at = 0; at < upTo && !socket.destroyed;) {
        const size = Math.min(upTo - at, one([1, 10, 1000, 200_000]));
        // A byte at a time only for a while.
        socket.write(answer.slice(at, at + size));
        at += size;
        if (random() < 0.1) await pause(1);
        if (size === 1 && at > 200) at = upTo;
      }
      const end = random();
      if (end < 0.15) socket.resetAndDestroy();
      else if (end < 0.3) socket.end();
      else if (end < 0.35) socket.destroy();
      else if (end < 0.4) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nodd');
    })());
  }));
}

/** HTTP/2 that answers gRPC calls as it likes. */
function rudeGrpc(random: () => number): Promise<number> {
  const one = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const server = http2.createServer();
  server.on('sessionError', () => {}).on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.resume();
    const act = [
      () => stream.close(one([0, 1, 2, 7, 8, 11])),
      () => stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': one(['0', '1', '14', '99', 'x']) }, { endStream: true }),
      () => stream.respond({ ':status': one([200, 404, 503]), 'content-type': one(['application/grpc', 'text/html']) }),
      () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': one(['0', '0', '14']), 'endpoint-load-metrics-bin': 'AAAA' }));
        stream.write(Buffer.concat([Buffer.from([one([0, 0, 0, 1, 7]), 0, 0, 0, one([3, 3, 9])]), Buffer.from('abc')]));
        if (random() < 0.8) stream.end();
      },
      () => stream.session?.goaway(one([0, 11])),
      () => stream.session?.destroy(),
      () => (stream.session?.socket as Socket | undefined)?.destroy(),
      () => {},
    ];
    try {
      one(act)();
      if (random() < 0.2) one(act)();
    } catch {
      // Twice the same.
    }
  });
  return listening(server as unknown as Server);
}

function meshTo(ports: readonly number[], random: () => number, protocol: 'http1' | 'http2'): { made: HandMadeMesh; counts: { readonly started: number } } {
  const waits = testFilter('waits', () => ({ decodeHeaders: () => (random() < 0.5 ? pause(1).then(() => (random() < 0.1 ? { status: 429, body: 'no', details: 'test' } : undefined)) : undefined) }));
  const made = new HandMadeMesh({ drainTimeoutMs: 1000 });
  const cluster = { protocol, thresholds: { default: { maxConnections: 20, maxPendingRequests: 100, maxRequests: 100, maxRetries: 5 }, high: { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: 1 } } } as const;
  made.add('mirror', { ports, cluster });
  for (const [name, filters] of [['payments', []], ['filtered', [waits, upperFilter({ later: true })]], ['watched', [upperFilter()]]] as const) {
    made.add(name, {
      ports, cluster, filters, clusters: ['mirror'],
      retryPolicy: retryPolicy(['5xx', 'reset', 'connect-failure', 'unavailable', 'cancelled'], { numRetries: 3, perTryTimeoutMs: 60 }),
      routes: [route({
        cluster: `outbound|80||${name}`, timeoutMs: 300, hedgePolicy: { onPerTryTimeout: true } as never, mirrors: [{ cluster: 'outbound|80||mirror' }],
        internalRedirect: { maxRedirects: 2, statuses: [302], crossScheme: 'no', notPreviousRoutes: false, copyHeaders: [] },
      })],
    });
  }
  cleanups.push(() => made.close());
  const { engine } = made;
  const { start } = engine;
  const counts = { started: 0 };
  engine.start = (...args) => {
    counts.started++;
    return start.apply(engine, args);
  };
  return { made, counts };
}

async function expectNothingLeft({ made, counts }: ReturnType<typeof meshTo>): Promise<void> {
  await vi.waitFor(() => {
    const left = [...made.clusters].map(([name, cluster]) => `${name}: ${[cluster.activeRequests, ...cluster.hosts.map(({ activeRequests }) => activeRequests)].join()}`);
    expect(left).toEqual([...made.clusters.keys()].map((name) => `${name}: 0,0,0`));
  }, { timeout: 5000 });
  // A redirect that is followed is a request of its own, unless its caller has gone by then.
  const redirects = made.ended.filter(({ responseCodeDetails }) => responseCodeDetails === 'internal_redirect').length;
  expect(new Set(made.ended).size).toBe(made.ended.length);
  expect(made.ended.length).toBeGreaterThanOrEqual(counts.started);
  expect(made.ended.length - redirects).toBeLessThanOrEqual(counts.started);
  expect(counts.started).toBeGreaterThan(200);
}

test(`HTTP (seed ${seed})`, async () => {
  const random = seededRandom(seed);
  const one = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const ports = [await rudeHttp(random), await rudeHttp(random)];
  const mesh = meshTo(ports, random, 'http1');
  const { made } = mesh;
  const { client } = made;
  let told = 0;
  const giveUp = () => (random() < 0.2 ? AbortSignal.timeout(one([1, 5, 20])) : undefined);
  const streamed = () => Readable.from((async function* () {
    for (let i = 0; i < 3; i++) {
      if (random() < 0.3) await pause(1);
      if (random() < 0.05) throw new Error('the caller\'s own stream broke');
      yield Buffer.alloc(one([10, 1000, 50_000]), 'a');
    }
  })());
  const send = async (): Promise<void> => {
    const name = one(['payments', 'filtered', 'watched']);
    const method = one(['GET', 'POST', 'HEAD']);
    const signal = giveUp();
    const body = method === 'POST' ? one([() => 'whole', streamed])() : undefined;
    switch (one(['request', 'fetch', 'agent'])) {
      case 'request': {
        const response = await client.request(`http://${name}/`, { method, ...(body !== undefined && { body }), ...(signal && { signal }) } as never);
        if (random() < 0.2) response.body.destroy();
        else await response.body.text();
        return;
      }
      case 'fetch': {
        const response = await client.fetch(`http://${name}/`, { method, redirect: 'manual', ...(body !== undefined && { body: body as never, duplex: 'half' }), ...(signal && { signal }) } as never);
        if (random() < 0.2) await response.body?.cancel();
        else await response.text();
        return;
      }
      default:
        await new Promise<void>((resolve) => {
          const request = http.request({ host: name, method, agent: client.agent, ...(signal && { signal }) }, (response) => {
            response.on('close', resolve).on('error', () => {});
            if (random() < 0.2) response.destroy();
            else response.resume();
          });
          request.on('error', () => resolve()).on('upgrade', (_response, socket) => { socket.destroy(); resolve(); }).on('close', resolve);
          if (body instanceof Readable) body.on('error', () => request.destroy()).pipe(request);
          else request.end(body);
        });
    }
  };
  const caller = async (): Promise<void> => {
    for (let i = 0; i < 40; i++) {
      await send().catch(() => {});
      told++;
    }
  };
  await Promise.all(Array.from({ length: 10 }, caller));
  expect(told).toBe(400);
  await client.close();
  await expectNothingLeft(mesh);
}, 60_000);

test(`gRPC (seed ${seed})`, async () => {
  const random = seededRandom(seed + 1);
  const one = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const mesh = meshTo([await rudeGrpc(random), await rudeGrpc(random)], random, 'http2');
  const { made } = mesh;
  const Client = makeGenericClientConstructor(echoService, 'Echo');
  const clients = ['payments', 'filtered', 'watched'].map((name) => new Client(`${name}:80`, credentials.createInsecure(), made.client.grpc() as object));
  cleanups.push(() => clients.forEach((client) => client.close()));
  let ends = 0;
  const call = (): Promise<void> => new Promise((resolve) => {
    let once = 0;
    const ended = () => {
      if (++once > 1) throw new Error('a call ended twice');
      ends++;
      resolve();
    };
    const client = one(clients) as unknown as Record<string, (...args: unknown[]) => { write(m: Buffer): void; end(): void; cancel(): void; on(event: string, fn: (...args: never[]) => void): never }>;
    const options = { deadline: Date.now() + one([20, 100, 400]) };
    if (random() < 0.5) {
      const made = client['Unary']!(Buffer.from('abc'), options, ended);
      if (random() < 0.2) setTimeout(() => made.cancel(), one([0, 1, 10]));
      return;
    }
    const made = client['Bidi']!(options);
    made.on('data', () => {});
    made.on('error', () => {});
    made.on('status', ended);
    for (let i = 0; i < 3; i++) made.write(Buffer.from('abc'));
    if (random() < 0.8) made.end();
    if (random() < 0.2) setTimeout(() => made.cancel(), one([0, 1, 10]));
  });
  const caller = async (): Promise<void> => {
    for (let i = 0; i < 40; i++) await call();
  };
  await Promise.all(Array.from({ length: 10 }, caller));
  expect(ends).toBe(400);
  await made.client.close();
  await expectNothingLeft(mesh);
}, 60_000);
