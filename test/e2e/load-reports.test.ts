// Out-of-band load reports from a server of ours to a client of ours, over their real gRPC.
import grpc from '@grpc/grpc-js';
import { afterEach, expect, it, vi } from 'vitest';
import { GrpcTransport, LoadRecorder } from '@weft/data-plane/internal';
import { systemClock } from '@weft/spiffe';
import { decodeLoadReport } from '../../packages/data-plane/src/load-balancing/load-report.js';
import { followLoadReports } from '../../packages/data-plane/src/transport/load-report-stream.js';
import { cluster, endpoint, endpoints, locality } from '../../packages/data-plane/src/upstream/test-support.js';
import { addLoadReportService } from '../../packages/server/src/grpc/load-report-service.js';

const open: { close(): unknown }[] = [];
afterEach(async () => void (await Promise.all(open.splice(0).reverse().map((item) => item.close()))));

async function serve(load: LoadRecorder | undefined): Promise<number> {
  const server = new grpc.Server();
  if (load) addLoadReportService(server, load, systemClock);
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  open.push({ close: () => server.forceShutdown() });
  return port;
}

function follow(port: number, onReport: (message: Uint8Array) => void): void {
  const of = cluster({ protocol: 'http2' }, endpoints([locality([endpoint('127.0.0.1', { port })])]));
  const transport = new GrpcTransport({ tls: undefined });
  const stream = followLoadReports(of.hosts[0]!, 1000, { transport, clock: systemClock, onReport });
  open.push({ close: () => of.close() }, { close: () => transport.close() }, stream);
}

it('a client that follows a server hears of its load, and of the application\'s own numbers', async () => {
  const load = new LoadRecorder();
  load.setNamedMetric('queue', 5);
  load.setApplicationUtilization(0.5);
  const port = await serve(load);
  const reports: Uint8Array[] = [];
  follow(port, (message) => reports.push(message));
  await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), { timeout: 5000 });
  const report = decodeLoadReport(reports[0] as Uint8Array);
  expect(report?.applicationUtilization).toBe(0.5);
  expect(report?.metric('named_metrics.queue')).toBe(5);
});

it('a server without the service is not asked again', async () => {
  const port = await serve(undefined);
  const asked = vi.fn();
  const transport = new GrpcTransport({ tls: undefined });
  const of = cluster({ protocol: 'http2' }, endpoints([locality([endpoint('127.0.0.1', { port })])]));
  const timers = vi.fn(systemClock.setTimeout.bind(systemClock));
  const channel: GrpcTransport['channel'] = (host, owner) => {
    asked();
    return transport.channel(host, owner);
  };
  const stream = followLoadReports(of.hosts[0]!, 1000, { transport: { channel }, clock: { ...systemClock, setTimeout: timers }, onReport: () => undefined });
  open.push({ close: () => of.close() }, { close: () => transport.close() }, stream);
  // A call after it on the same connection: the stream's status has come by then.
  await new Promise<void>((resolve) => {
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    client.makeUnaryRequest('/x/y', (value: Buffer) => value, (value: Buffer) => value, Buffer.alloc(0), () => resolve());
    open.push(client);
  });
  expect(asked).toHaveBeenCalledTimes(1);
  expect(timers).not.toHaveBeenCalled();
});
