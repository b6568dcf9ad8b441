import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { MeshError } from '../errors.js';
import { isLoopback } from '../resource/endpoint-policy.js';

/** @param name what it is called in the error. */
export function splitAddress(address: string, name: string): { host: string; port: number } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || (bracketed !== undefined && isIP(bracketed) !== 6) || Number(port) < 1 || Number(port) > 65_535) {
    const hint = /^\w+:\/\//.test(address) ? ' (without a scheme: it is TLS; plain text only by the option { plaintext: true } or the gRPC bootstrap)' : '';
    throw new MeshError('WEFT_BOOTSTRAP_INVALID', `${name}: ${JSON.stringify(address)} is not HOST:PORT${hint}`);
  }
  return { host, port: Number(port) };
}

/** As grpc-js takes it without looking up what is an address already. */
export function grpcTarget({ host, port }: { host: string; port: number }): string {
  const family = isIP(host);
  return family === 6 ? `ipv6:[${host}]:${port}` : family === 4 ? `ipv4:${host}:${port}` : `dns:${host}:${port}`;
}

export function isLoopbackTarget(target: string): boolean {
  if (/^unix(-abstract)?:/.test(target)) return true;
  const host = /^(?:[a-z0-9]+:\/*)?(?:\[([^\]]+)\]|([^:[\]]+))(?::\d+)?$/.exec(target);
  return isLoopback(host?.[1] ?? host?.[2] ?? '');
}

/** Addresses under which others reach this machine, IPv4 first; loopback where there is no other. */
export function instanceAddresses(): [string, ...string[]] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []).filter(({ internal, address }) => !internal && !address.startsWith('fe80:') && !address.startsWith('169.254.'));
  const [first, ...others] = [...all.filter(({ family }) => family === 'IPv4'), ...all.filter(({ family }) => family === 'IPv6')].map(({ address }) => address);
  return first === undefined ? ['127.0.0.1'] : [first, ...others];
}
