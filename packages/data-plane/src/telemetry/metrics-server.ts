// Metrics on a port of their own, for applications that serve none.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MeshError } from '../errors.js';
import type { Logger } from './logger.js';
import { prometheusContentType, prometheusText } from './prometheus.js';
import type { Stats } from './stats.js';

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves `GET /metrics` (WEFT_METRICS_PORT). Rejects where the port is taken. Does not keep the process alive. */
export function startMetricsServer(text: () => string, { port, host }: { port: number; host?: string }): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const found = request.method === 'GET' && request.url?.split('?')[0] === '/metrics';
    response.writeHead(found ? 200 : 404, { 'content-type': prometheusContentType });
    response.end(found ? text() : 'GET /metrics\n');
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.unref();
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () =>
          new Promise<void>((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

/**
 * What WEFT_METRICS_PORT asks for: nothing where it is not set. A port that is taken costs the metrics, not the application.
 * @throws {MeshError} WEFT_BOOTSTRAP_INVALID where it is no port.
 */
export function metricsServerOf(port: string | undefined, stats: Stats, logger: Logger): { close(): Promise<void> } {
  if (port === undefined || port === '') return { close: async () => {} };
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) throw new MeshError('WEFT_BOOTSTRAP_INVALID', `WEFT_METRICS_PORT: ${JSON.stringify(port)} is not a port`);
  const server = startMetricsServer(() => prometheusText(stats), { port: Number(port) }).catch((error: Error) => {
    logger.error({ port, reason: error.message }, 'metrics cannot be served');
    return undefined;
  });
  return { close: async () => (await server)?.close() };
}
