// The header that says who a connection comes from (PROXY protocol, versions 1 and 2).
import { isIPv4, type Socket } from 'node:net';
import type { ProxyProtocolVersion } from '../resource/tls-config.js';

export const signatureV2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/**
 * Of a connection that is our own, not passed on for somebody: what Envoy sends where there is no downstream connection. Version 1 tells
 * the addresses of the connection itself, version 2 says LOCAL, which means the same.
 */
export function ownHeader(version: ProxyProtocolVersion, socket: Socket): Buffer {
  if (version === 'v2') return Buffer.concat([signatureV2, Buffer.from([0x20, 0, 0, 0])]);
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || remoteAddress === undefined || localPort === undefined || remotePort === undefined) return Buffer.from('PROXY UNKNOWN\r\n');
  return Buffer.from(`PROXY ${isIPv4(localAddress) ? 'TCP4' : 'TCP6'} ${localAddress} ${remoteAddress} ${localPort} ${remotePort}\r\n`);
}
