// What callers are told of the load of a server: headers of HTTP, trailers of gRPC, and the stream of its own.
import { createServer } from 'node:http';
import grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { LoadRecorder, type LoadReportAudience } from '@weft/data-plane/internal';
import { FakeClock } from '@weft/spiffe/testing';
import { raw, request, testMesh } from './testing.js';
import { addLoadReportService } from './grpc/load-report-service.js';

const open: { close(): unknown }[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).reverse().map((item) => item.close()))));

const bytes = (value: Buffer) => value;
const unary = { path: '/pkg.Echo/Unary', requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };

async function start(loadReports: LoadReportAudience | undefined) {
  const test = testMesh({ listener: {}, ...(loadReports && { loadReports }) });
  open.push(test);
  const server = new grpc.Server(test.mesh.grpcOptions());
  server.addService({ unary, refused: { ...unary, path: '/pkg.Echo/Refused' } }, {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => done(null, call.request),
    refused: (_call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => done({ code: 7, details: 'no' }),
  });
  test.mesh.addLoadReports(server);
  const http = createServer((req, res) => {
    if (req.url === '/own') res.setHeader('endpoint-load-metrics', 'TEXT cpu_utilization=1');
    res.end('ok');
  });
  const { port } = await test.mesh.listen({ http, grpc: server }, { port: 0, host: '127.0.0.1' });
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  open.push(client);
  const call = (path: string) => new Promise<grpc.Metadata>((resolve) => {
    client.makeUnaryRequest(path, bytes, bytes, Buffer.from('x'), () => undefined).on('status', (status) => resolve(status.metadata));
  });
  return { test, port, call };
}

describe('load reports in responses', () => {
  it('are trailers of gRPC calls, of those with only trailers too', async () => {
    const { test, call } = await start(undefined);
    test.mesh.load.setNamedMetric('queue', 3);
    for (const path of ['/pkg.Echo/Unary', '/pkg.Echo/Refused']) {
      const [report] = (await call(path)).get('endpoint-load-metrics-bin');
      expect((report as Buffer).includes('queue'), path).toBe(true);
    }
  });

  it('are a header for everybody where they are to be', async () => {
    const { port } = await start('all');
    const response = await raw(port, request('/'));
    expect(response).toMatch(/endpoint-load-metrics: TEXT application_utilization=[\d.e-]+,cpu_utilization=[\d.e-]+,rps_fractional=[\d.e-]+,eps=0\r\n/);
  });

  it('are told to callers that say who they are in the mesh, and not to those of whom nothing is known', async () => {
    const { port } = await start(undefined);
    expect(await raw(port, request('/'))).not.toContain('endpoint-load-metrics');
    expect(await raw(port, request('/', ['x-envoy-peer-metadata-id: x', 'x-envoy-peer-metadata: x']))).toContain('endpoint-load-metrics');
  });

  it('leave the application\'s own alone', async () => {
    const { port } = await start('all');
    expect(await raw(port, request('/own'))).toMatch(/endpoint-load-metrics: TEXT cpu_utilization=1\r\n/);
  });

  it('are switched off', async () => {
    const { port, call } = await start('none');
    expect(await raw(port, request('/'))).not.toContain('endpoint-load-metrics');
    expect((await call('/pkg.Echo/Unary')).get('endpoint-load-metrics-bin')).toEqual([]);
  });
});

describe('the service that streams load reports', () => {
  it('sends one at once and then as often as it is asked to, but not more often than once a second', async () => {
    const clock = new FakeClock(0);
    const server = new grpc.Server();
    addLoadReportService(server, new LoadRecorder(), clock);
    const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
    open.push({ close: () => server.forceShutdown() });
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    open.push(client);
    // report_interval of 1 ms.
    const call = client.makeServerStreamRequest('/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics', bytes, bytes, Buffer.from([0x0a, 4, 0x10, 0xc0, 0x84, 0x3d]));
    call.on('error', () => undefined);
    const next = () => new Promise<Buffer>((resolve) => call.once('data', resolve));
    await next();
    let more = 0;
    call.on('data', () => more++);
    clock.advance(900);
    const second = next();
    clock.advance(100);
    await second;
    expect(more).toBe(1);
    call.cancel();
  });
});
