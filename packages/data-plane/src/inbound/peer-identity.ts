import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { peerIdentity } from '@weft/spiffe';
import type { ConnectionInfo } from './inbound-port.js';

/** Both ends as a PROXY protocol header tells them. */
export interface ProxiedAddresses {
  remoteAddress: string;
  remotePort: number;
  localAddress: string;
  localPort: number;
}

/**
 * What is known of a connection: once, after the handshake. Who the peer is comes from its certificate alone.
 * @throws where the certificate does not verify; the socket is destroyed then.
 */
export function connectionInfo(socket: Socket, proxied?: ProxiedAddresses): ConnectionInfo {
  const secure = socket instanceof TLSSocket ? socket : undefined;
  const peer = secure && peerIdentity(secure);
  const direct = plainAddress(socket.remoteAddress);
  const [remoteAddress, remotePort] = proxied ? [plainAddress(proxied.remoteAddress), proxied.remotePort] : [direct, socket.remotePort ?? 0];
  const [localAddress, localPort] = proxied ? [plainAddress(proxied.localAddress), proxied.localPort] : [plainAddress(socket.localAddress), socket.localPort ?? 0];
  return {
    remoteAddress,
    remotePort,
    localAddress,
    localPort,
    remote: addressText(remoteAddress, remotePort),
    local: addressText(localAddress, localPort),
    ...(proxied && { directRemote: addressText(direct, socket.remotePort ?? 0) }),
    ...(peer && { peer }),
    ...(secure && { localUriSan: () => ownUri(secure) }),
    tls: secure !== undefined,
    mutualTls: peer !== undefined,
    requestedServerName: secure && typeof (secure as TLSSocket & { servername?: unknown }).servername === 'string' ? (secure as unknown as { servername: string }).servername : '',
    applicationProtocol: (secure && secure.alpnProtocol) || '',
  };
}

function ownUri(socket: TLSSocket): string {
  const certificate = socket.getCertificate() as { subjectaltname?: string } | null;
  return /(?:^|, )URI:([^,\s]+)/.exec(certificate?.subjectaltname ?? '')?.[1] ?? '';
}

/** `IP:port`, IPv6 in brackets. */
export function addressText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An IPv4 peer of a dual-stack socket is an IPv4 peer: a rule for 10.0.0.0/8 must find it. */
function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
}
