// The PROXY protocol header before everything else on a connection: who it comes from, as the load balancer in front says.
import { isIP, type Socket } from 'node:net';
import type { Clock, ProxiedAddresses } from '@weft/data-plane/internal';

export interface ProxyHeaderOptions {
  /** Connections may come without a header. */
  readonly optional: boolean;
  readonly versions: readonly ('v1' | 'v2')[];
}

/** `gone`: no header came in time. `refused`: none that is allowed. Without `addresses` those of the socket count. */
export type ProxyHeader = { readonly kind: 'read'; readonly addresses?: ProxiedAddresses } | { readonly kind: 'gone' } | { readonly kind: 'refused'; readonly reason: string };

type Parsed = ProxyHeader | { readonly kind: 'more' } | { readonly kind: 'none' };

const textStart = Buffer.from('PROXY ');
const binaryStart = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
/** Of version 1, line end included. */
const longestText = 107;

/** Takes the header out of the socket; what follows stays in it. */
export function readProxyHeader(socket: Socket, options: ProxyHeaderOptions, timeoutMs: number, clock: Clock): Promise<ProxyHeader> {
  return new Promise((resolve) => {
    let seen: Buffer = Buffer.alloc(0);
    const done = (result: ProxyHeader, length: number) => {
      timer.cancel();
      socket.off('readable', onReadable).off('end', onGone).off('close', onGone).off('error', onGone);
      if (result.kind === 'read' && seen.length > length) socket.unshift(seen.subarray(length));
      resolve(result);
    };
    const onGone = () => done({ kind: 'gone' }, 0);
    const onReadable = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const { result, length } = parse(seen, options);
      if (result.kind === 'none') done(options.optional ? { kind: 'read' } : { kind: 'refused', reason: 'no PROXY protocol header' }, 0);
      else if (result.kind !== 'more') done(result, length);
    };
    const timer = clock.setTimeout(onGone, timeoutMs);
    socket.on('readable', onReadable).on('end', onGone).on('close', onGone).on('error', onGone);
    if (socket.destroyed) onGone();
  });
}

function parse(bytes: Buffer, { versions }: ProxyHeaderOptions): { result: Parsed; length: number } {
  for (const [version, start, read] of [['v1', textStart, parseText], ['v2', binaryStart, parseBinary]] as const) {
    const length = Math.min(bytes.length, start.length);
    if (bytes.compare(start, 0, length, 0, length) !== 0) continue;
    if (bytes.length < start.length) return { result: { kind: 'more' }, length: 0 };
    if (!versions.includes(version)) return { result: { kind: 'refused', reason: `PROXY protocol ${version} is not allowed` }, length: 0 };
    return read(bytes);
  }
  return { result: { kind: 'none' }, length: 0 };
}

function parseText(bytes: Buffer): { result: Parsed; length: number } {
  const end = bytes.subarray(0, longestText).indexOf('\r\n');
  if (end === -1) return { result: bytes.length < longestText ? { kind: 'more' } : refused('a PROXY line that does not end'), length: 0 };
  const length = end + 2;
  const [, family, remoteAddress = '', localAddress = '', remotePort = '', localPort = '', ...rest] = bytes.toString('latin1', 0, end).split(' ');
  // Health checks of the load balancer itself.
  if (family === 'UNKNOWN') return { result: { kind: 'read' }, length };
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0;
  if (version === 0 || rest.length > 0 || isIP(remoteAddress) !== version || isIP(localAddress) !== version || !isPort(remotePort) || !isPort(localPort)) return { result: refused('a PROXY line that cannot be read'), length: 0 };
  return { result: { kind: 'read', addresses: { remoteAddress, remotePort: Number(remotePort), localAddress, localPort: Number(localPort) } }, length };
}

function parseBinary(bytes: Buffer): { result: Parsed; length: number } {
  if (bytes.length < 16) return { result: { kind: 'more' }, length: 0 };
  const command = bytes[12];
  const family = bytes[13];
  const rest = bytes.readUInt16BE(14);
  const length = 16 + rest;
  if (command !== 0x20 && command !== 0x21) return { result: refused('a PROXY header of an unknown version or command'), length: 0 };
  const size = family === 0x11 ? 4 : family === 0x21 ? 16 : 0;
  if (command === 0x21 && (size === 0 || rest < 2 * size + 4)) return { result: refused('a PROXY header that is not of TCP'), length: 0 };
  if (bytes.length < length) return { result: { kind: 'more' }, length: 0 };
  // LOCAL: the load balancer's own connection.
  if (command === 0x20) return { result: { kind: 'read' }, length };
  const ports = 16 + 2 * size;
  const addresses = { remoteAddress: addressAt(bytes, 16, size), localAddress: addressAt(bytes, 16 + size, size), remotePort: bytes.readUInt16BE(ports), localPort: bytes.readUInt16BE(ports + 2) };
  return { result: { kind: 'read', addresses }, length };
}

function addressAt(bytes: Buffer, at: number, size: number): string {
  if (size === 4) return [...bytes.subarray(at, at + 4)].join('.');
  const text = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(at + 2 * i).toString(16)).join(':');
  // The usual spelling, in which rules and logs have it.
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
}

function refused(reason: string): ProxyHeader {
  return { kind: 'refused', reason };
}
