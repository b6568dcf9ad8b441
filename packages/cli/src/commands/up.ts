// `weft up`: control plane and certificate authority in one process, until SIGTERM.
import { once } from 'node:events';
import { Command } from 'commander';
import pino from 'pino';
import type { Logger } from '@weft/spiffe';
import { formatProblem } from '@weft/xds-server';
import { collect, duration, port } from '../arguments.js';
import { CliError, exitCode, usageError } from '../cli-error.js';
import { requirePaths } from '../config.js';
import type { Output } from '../output.js';
import { startMesh, type Mesh } from '../mesh.js';

interface UpOptions {
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
  allowInsecure?: boolean;
}

export function upCommand(output: Output): Command {
  return new Command('up')
    .description('run the control plane and the certificate authority')
    .option('--config <path>', 'file or folder of configuration; may be given several times', collect)
    .option('--data <dir>', 'folder of state: authority, registrations, last good configuration', './.weft')
    .option('--trust-domain <name>', "the mesh's SPIFFE trust domain", 'cluster.local')
    .option('--address <address>', 'address to listen on', '127.0.0.1')
    .option('--xds-port <port>', 'plain-text xDS: loopback only unless --allow-insecure', port, 15010)
    .option('--xds-tls-port <port>', 'xDS and certificates over TLS', port, 15012)
    .option('--http-port <port>', 'health, metrics and the /v1 API', port, 15014)
    .option('--tls-name <name>', "further DNS name or address in the control plane's certificate; may be given several times", collect)
    .option('--svid-ttl <duration>', 'lifetime of certificates (default 1h)', duration)
    .option('--grace <duration>', 'how long after a start no registration is withdrawn (default 30s)', duration)
    .option('--allow-insecure', 'let the plain-text port listen beyond loopback')
    .addHelpText('after', '\nPort 0 means any free port. WEFT_LOG sets the log level (debug, info, warn, error; default info); logs go to stderr.')
    .action(async (options: UpOptions) => {
      if (!options.config) throw usageError('no configuration given', 'add --config FILE or --config FOLDER');
      requirePaths(options.config);
      const logger = pino({ level: process.env['WEFT_LOG'] ?? 'info', base: null }, pino.destination({ dest: 2, sync: true }));
      const mesh = await start(options, options.config, logger);
      // Before the ready line: whoever reads it may send the signal at once.
      const signals = new AbortController();
      const stopped = Promise.race(['SIGTERM', 'SIGINT'].map((signal) => once(process, signal, { signal: signals.signal }).catch(() => undefined)));
      output.stdout(`weft ready xds=${mesh.xds} xds-tls=${mesh.xdsTls} http=${mesh.http}\n`);
      await stopped;
      signals.abort();
      logger.info('draining');
      await mesh.close();
    });

  async function start(options: UpOptions, config: readonly string[], logger: Logger): Promise<Mesh> {
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
}
