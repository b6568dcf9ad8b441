// `weft token create`: one join token on stdout.
import { Command } from 'commander';
import { callAdmin, readAdminToken } from '../admin-client.js';
import { duration, hostPort, namespacedName, positiveInteger, type NamespacedName } from '../arguments.js';
import type { TokenRequest } from '../authority.js';

interface CreateOptions {
  workload: NamespacedName;
  identity: NamespacedName;
  ttl: number;
  uses: number;
  data: string;
  controlPlane?: string;
}

export function tokenCommand(print: (text: string) => void): Command {
  const create = new Command('create')
    .description('create a join token, with which a workload gets its first certificate')
    .requiredOption('--workload <ns/name>', 'the WorkloadGroup it is for', namespacedName)
    .requiredOption('--identity <ns/account>', 'the service account whose identity it grants', namespacedName)
    .option('--ttl <duration>', 'how long it may be used', duration, 600_000)
    .option('--uses <n>', 'how often it may be used', positiveInteger, 1)
    .option('--data <dir>', 'state of a `weft up` that is not running', './.weft')
    .option('--control-plane <host:port>', 'HTTP port of a running `weft up`', hostPort)
    .action(async ({ workload, identity, ttl, uses, data, controlPlane }: CreateOptions) => {
      const request: TokenRequest = {
        workload: `${workload.namespace}/${workload.name}`,
        identity: `${identity.namespace}/${identity.name}`,
        ttlSeconds: ttl / 1000,
        uses,
      };
      const token = controlPlane
        ? (await callAdmin<{ token: string }>(controlPlane, 'POST', '/v1/tokens', readAdminToken(data), request)).token
        : await offline(data, request);
      print(`${token}\n`);
    });
  return new Command('token').description('join tokens').addCommand(create);
}

async function offline(data: string, request: TokenRequest): Promise<string> {
  const { createToken, openAuthority } = await import('../authority.js');
  return openAuthority(data, ({ joinTokens }) => createToken(joinTokens, request));
}
