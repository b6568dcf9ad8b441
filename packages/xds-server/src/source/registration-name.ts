import { isIP } from 'node:net';

/** What a Listener subscription `weft/inbound/PORTNAME/IP:PORT` announces. */
export interface InboundName {
  readonly portName: string;
  readonly address: string;
  readonly port: number;
}

/** @returns undefined for anything but exactly that form. */
export function parseInboundName(name: string): InboundName | undefined {
  const match = /^weft\/inbound\/([^/]{1,63})\/(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(name);
  if (!match) return undefined;
  const [, portName = '', v6, v4] = match;
  const address = v6 ?? v4 ?? '';
  const port = Number(match[4]);
  if (isIP(address) !== (v6 === undefined ? 4 : 6) || port < 1 || port > 65_535) return undefined;
  return { portName, address, port };
}

/**
 * The addresses that a bound port is reached at. A wildcard stands for the instance's own addresses: of the same family for
 * 0.0.0.0, all of them for `::`, which takes IPv4 too.
 */
export function reachableAddresses(bound: string, instance: readonly string[]): readonly string[] {
  if (bound === '0.0.0.0') return instance.filter((address) => isIP(address) === 4);
  if (isIP(bound) === 6 && /^[0:]+$/.test(bound)) return instance;
  return [bound];
}
