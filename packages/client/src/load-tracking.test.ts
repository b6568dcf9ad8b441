// What a load-balancing policy that learns from attempts is told, through both adapters.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import grpc from '@grpc/grpc-js';
import { afterEach, expect, it, vi } from 'vitest';
import type { LoadBalancerFactory } from '../../data-plane/src/load-balancing/load-balancer.js';
import { clientSideWeightedRoundRobin } from '../../data-plane/src/load-balancing/policy/client-side-weighted-round-robin.js';
import { HandMadeMesh } from '../test-support/hand-made-mesh.js';

const open: { close(): unknown }[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).reverse().map((item) => item.close()))));

const bytes = (value: Buffer) => value;
const method = { path: '/pkg.Echo/Echo', requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };

async function http(handler: Parameters<typeof createServer>[1]): Promise<number> {
  const server: Server = createServer(handler as never);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({ close: () => (server.closeAllConnections(), server.close()) });
  return (server.address() as AddressInfo).port;
}

async function grpcServer(trailers: Record<string, string>): Promise<number> {
  const server = new grpc.Server();
  server.addService({ echo: method }, {
    echo: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(trailers)) metadata.set(name, value);
      done(null, call.request, metadata);
    },
  });
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  open.push({ close: () => server.forceShutdown() });
  return port;
}

function watching(): { factory: LoadBalancerFactory; seen: string[] } {
  const seen: string[] = [];
  return {
    seen,
    factory: {
      name: 'watching', typeUrl: 'type.googleapis.com/watching', parse: () => undefined,
      create: () => ({ update: (hosts) => ({ pick: () => hosts[0] }) }),
      createTracker: () => ({
        begin: () => (seen.push('begin'), {
          head: ({ status, headers }) => void seen.push(`head ${status} ${headers.get('x-head') ?? ''}`.trim()),
          firstData: (ms) => void seen.push(ms >= 0 ? 'data' : 'before its start'),
          trailers: (trailers) => void seen.push(`trailers ${trailers.get('x-trailer') ?? ''}`.trim()),
          end: ({ status, grpcStatus }) => void seen.push(`end ${grpcStatus ?? status}`),
        }),
      }),
    },
  };
}

function meshOf(ports: number[], protocol: 'http1' | 'http2', loadBalancing: { policy: string; config: unknown }, loadBalancers: LoadBalancerFactory[] = []): HandMadeMesh {
  const mesh = new HandMadeMesh().add('echo', { ports, cluster: { protocol, loadBalancing }, loadBalancers });
  open.push(mesh);
  return mesh;
}

it('is told of head, first bytes, trailers and end of a request', async () => {
  const { factory, seen } = watching();
  const port = await http((_req, res) => {
    res.writeHead(200, { 'x-head': 'h', 'trailer': 'x-trailer' });
    res.write('a');
    res.addTrailers({ 'x-trailer': 't' });
    setImmediate(() => res.end('b'));
  });
  const mesh = meshOf([port], 'http1', { policy: 'watching', config: {} }, [factory]);
  const { body } = await mesh.client.request('http://echo/');
  await body.text();
  expect(seen).toEqual(['begin', 'head 200 h', 'data', 'trailers t', 'end 200']);
});

it('is told of head, first message, trailers and end of a call', async () => {
  const { factory, seen } = watching();
  const mesh = meshOf([await grpcServer({ 'x-trailer': 't' })], 'http2', { policy: 'watching', config: {} }, [factory]);
  const client = new grpc.Client('xds:///echo', grpc.credentials.createInsecure(), mesh.client.grpc() as grpc.ChannelOptions);
  open.push(client);
  await new Promise<void>((resolve, reject) => client.makeUnaryRequest(method.path, bytes, bytes, Buffer.from('x'), (error) => (error ? reject(error) : resolve())));
  expect(seen).toEqual(['begin', 'head 200', 'data', 'trailers t', 'end 0']);
});

it('an attempt without an answer ends, too', async () => {
  const { factory, seen } = watching();
  const port = await http((req) => void req.socket.destroy());
  const mesh = meshOf([port], 'http1', { policy: 'watching', config: {} }, [factory]);
  const { statusCode, body } = await mesh.client.request('http://echo/');
  await body.text();
  expect([statusCode, ...seen]).toEqual([503, 'begin', 'end undefined']);
});

it('hosts get requests by the load that they report with responses', async () => {
  const busy = await http((_req, res) => res.setHeader('endpoint-load-metrics', 'TEXT application_utilization=0.9,rps_fractional=10').end('busy'));
  const idle = await http((_req, res) => res.setHeader('endpoint-load-metrics', 'TEXT application_utilization=0.1,rps_fractional=10').end('idle'));
  const config = { blackoutMs: 0, expirationMs: 60_000, updateMs: 100, errorPenalty: 1, metricNames: [] };
  const mesh = meshOf([busy, idle], 'http1', { policy: clientSideWeightedRoundRobin.name, config });
  await vi.waitFor(async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, async () => (await mesh.client.request('http://echo/')).body.text()));
    expect(answers.filter((answer) => answer === 'idle').length).toBeGreaterThanOrEqual(34);
  }, { timeout: 10_000, interval: 50 });
});
