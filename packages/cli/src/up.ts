// What `weft up` does: control plane and authority in one process, until SIGTERM.
import { once } from 'node:events';
import pino from 'pino';
import type { Logger } from '@weft/spiffe';
import { formatProblem } from '@weft/xds-server';
import { CliError, exitCode, usageError } from './cli-error.js';
import { requirePaths } from './config.js';
import { startMesh, type Mesh } from './mesh.js';
import type { Output } from './output.js';

export interface UpOptions {
  config?: readonly string[];
  data: string;
  trustDomain: string;
  address: string;
  xdsPort: number;
  xdsTlsPort: number;
  httpPort: number;
  tlsName?: readonly string[];
  svidTtl?: number;
  grace?: number;
  maxStreamAge?: number;
  allowInsecure?: boolean;
}

export async function up(options: UpOptions, output: Output): Promise<void> {
  if (!options.config) throw usageError('no configuration given', 'add --config FILE or --config FOLDER');
  requirePaths(options.config);
  const logger = pino({ level: process.env['WEFT_LOG'] ?? 'info', base: null }, pino.destination({ dest: 2, sync: true }));
  const mesh = await start(options, options.config, logger, output);
  // Before the ready line: whoever reads it may send the signal at once.
  const signals = new AbortController();
  const stopped = Promise.race(['SIGTERM', 'SIGINT'].map((signal) => once(process, signal, { signal: signals.signal }).catch(() => undefined)));
  output.stdout(`weft ready xds=${mesh.xds} xds-tls=${mesh.xdsTls} http=${mesh.http}\n`);
  await stopped;
  signals.abort();
  logger.info('draining');
  await mesh.close();
}

async function start(options: UpOptions, config: readonly string[], logger: Logger, output: Output): Promise<Mesh> {
  let mesh: Mesh;
  try {
    mesh = await startMesh({
      config,
      dataDir: options.data,
      trustDomain: options.trustDomain,
      address: options.address,
      xdsPort: options.xdsPort,
      xdsTlsPort: options.xdsTlsPort,
      httpPort: options.httpPort,
      tlsNames: options.tlsName ?? [],
      ...(options.svidTtl === undefined ? {} : { svidTtlMs: options.svidTtl }),
      ...(options.grace === undefined ? {} : { graceMs: options.grace }),
      ...(options.maxStreamAge === undefined ? {} : { maxStreamAgeMs: options.maxStreamAge }),
      allowInsecure: options.allowInsecure ?? false,
      logger,
    });
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (code === 'EADDRINUSE' || code === 'EACCES' || code === 'EADDRNOTAVAIL') {
      throw new CliError(message, exitCode.unreachable, 'choose other ports with --xds-port, --xds-tls-port and --http-port; 0 = any free one');
    }
    throw error;
  }
  // A bad object with no last good version is an error at the start, and only then: later it never stops the others.
  const fatal = mesh.controlPlane.rejected();
  if (fatal.length > 0) {
    for (const problem of fatal) output.stderr(`${formatProblem(problem)}\n`);
    await mesh.close();
    throw new CliError(`${fatal.length} ${fatal.length === 1 ? 'error' : 'errors'} in the configuration`, exitCode.failed, 'see them without starting: weft validate PATH');
  }
  return mesh;
}
