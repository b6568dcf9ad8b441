// `weft ca show|rotate`.
import { Command } from 'commander';
import { callAdmin, readAdminToken } from '../admin-client.js';
import { hostPort } from '../arguments.js';
import type { Authorities } from '../authority.js';

interface CaOptions {
  data: string;
  controlPlane?: string;
  json?: boolean;
}

export function caCommand(print: (text: string) => void): Command {
  const show = sub('show', 'list the authorities: the active one signs, all of them are trusted', ({ data, controlPlane }) =>
    controlPlane ? callAdmin<Authorities>(controlPlane, 'GET', '/v1/ca', readAdminToken(data)) : import('../authority.js').then(({ showOffline }) => showOffline(data)),
  );
  const rotate = sub('rotate', 'make a new root, publish it, and let it sign from now on; the old one stays trusted until its certificates have expired', ({ data, controlPlane }) =>
    controlPlane
      ? callAdmin<Authorities>(controlPlane, 'POST', '/v1/ca/rotate', readAdminToken(data))
      : import('../authority.js').then(({ rotateOffline }) => rotateOffline(data)),
  );
  return new Command('ca').description('the certificate authority').addCommand(show).addCommand(rotate);

  function sub(name: string, description: string, run: (options: CaOptions) => Promise<Authorities>): Command {
    return new Command(name)
      .description(description)
      .option('--data <dir>', 'state of a `weft up` that is not running', './.weft')
      .option('--control-plane <host:port>', 'HTTP port of a running `weft up`', hostPort)
      .option('--json', 'print JSON')
      .action(async (options: CaOptions) => {
        const authorities = await run(options);
        print(options.json ? `${JSON.stringify(authorities, undefined, 2)}\n` : text(authorities));
      });
  }
}

function text({ trustDomain, authorities, unacknowledged = [], offline }: Authorities): string {
  const rows = authorities.map(({ authority, state, notAfter }) => `${state.padEnd(9)} ${authority.slice(0, 16)}…  until ${notAfter.slice(0, 10)}`);
  const notes = [
    ...(offline ? ['no control plane was running: workloads learn of the new root when they connect to the next one'] : []),
    ...(unacknowledged.length > 0 ? [`${unacknowledged.length} connected clients have not acknowledged the new root: ${unacknowledged.slice(0, 5).join(', ')}${unacknowledged.length > 5 ? ', …' : ''}`] : []),
  ];
  return `trust domain ${trustDomain}\n${[...rows, ...notes].join('\n')}\n`;
}
