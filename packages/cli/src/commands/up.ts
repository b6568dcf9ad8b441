// `weft up`: control plane and certificate authority in one process, until SIGTERM.
import { Command } from 'commander';
import { collect, duration, port } from '../arguments.js';
import type { Output } from '../output.js';
import type { UpOptions } from '../up.js';

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
    .option('--max-stream-age <duration>', 'end discovery streams after about this long, so that clients spread anew over replicas (default: with their certificate)', duration)
    .option('--allow-insecure', 'let the plain-text port listen beyond loopback')
    .addHelpText('after', '\nPort 0 means any free port. WEFT_LOG sets the log level (debug, info, warn, error; default info); logs go to stderr.')
    .action(async (options: UpOptions) => {
      const { up } = await import('../up.js');
      await up(options, output);
    });
}
