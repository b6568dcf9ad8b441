// For tests of this package: a mesh whose configuration the test sets by hand.
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { InboundListeners, LoadRecorder, systemClock, type LoadReportAudience, type Clock, type StreamInfo, type TlsContexts } from '@weft/data-plane/internal';
import { FakeXds, IstioTelemetry, Stats, testListener, testWorkload, type TestListener } from '@weft/data-plane/testing';
import { MeshServer, type MeshServerSettings } from './mesh-server.js';

const silent = () => {};

export interface TestMesh {
  mesh: MeshServer;
  xds: FakeXds;
  infos: StreamInfo[];
  warnings: string[];
  configure(listener: TestListener): void;
  close(): Promise<void>;
}

export function testMesh(options: { tls?: TlsContexts; clock?: Clock; listener?: TestListener; settings?: MeshServerSettings; loadReports?: LoadReportAudience } = {}): TestMesh {
  const { tls, clock = systemClock, listener, settings, loadReports = 'mesh' } = options;
  const xds = new FakeXds();
  const stats = new Stats();
  const infos: StreamInfo[] = [];
  const warnings: string[] = [];
  const telemetry = new IstioTelemetry({ stats, workload: testWorkload('payments') });
  const end = telemetry.end.bind(telemetry);
  telemetry.end = (info, ...rest) => {
    infos.push(info);
    end(info, ...rest);
  };
  const logger = { debug: silent, info: silent, warn: (_fields: object, message: string) => void warnings.push(message), error: silent };
  const filterContext = { random: () => 0.5, now: () => clock.now(), setTimeout: (run: () => void, ms: number) => clock.setTimeout(run, ms), stats };
  const load = new LoadRecorder({ audience: loadReports });
  const inbound = new InboundListeners({ xds, type: {} as never, filterContext, telemetry, tls, logger, clock, load });
  const mesh = new MeshServer({ clock, logger, tls, inbound, stats, xds, load, ready: async () => {}, close: async () => inbound.close() }, { drainDelayMs: 0, drainTimeoutMs: 5000, ...settings });
  const configure = (config: TestListener) => xds.set('*', testListener(config));
  if (listener) configure(listener);
  return { mesh, xds, infos, warnings, configure, close: () => mesh.close() };
}

/** Everything that comes back for these bytes, until the server ends the connection. */
export function raw(port: number, bytes: string | Buffer, options: { tls?: ConnectionOptions; keepOpen?: boolean } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: Socket = options.tls ? connectTls({ ...options.tls, port, host: '127.0.0.1' }) : connectTcp(port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(text) : reject(error)));
    socket.on('close', () => resolve(text));
    socket.write(bytes);
    if (!options.keepOpen) socket.end();
  });
}

export function request(path: string, headers: readonly string[] = [], method = 'GET'): string {
  return `${[`${method} ${path} HTTP/1.1`, 'host: payments', 'connection: close', ...headers].join('\r\n')}\r\n\r\n`;
}

export function statusOf(response: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(response)?.[1] ?? 0);
}

export type { TLSSocket };
