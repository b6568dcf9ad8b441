import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, checkServerIdentity, type PeerCertificate } from 'node:tls';
import { controlPlaneId } from '../spiffe-id.js';
import { peerName, PeerVerificationError } from '../peer-verifier.js';
import { sha256OfCertificate } from '../join-token.js';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** @throws unless `address` is HOST:PORT, an IPv6 host in brackets. */
export function parseAddress(address: string): HostPort {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) === 0 || Number(port) > 65535 || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    throw new TypeError(`not an address: ${JSON.stringify(address)}: expected HOST:PORT`);
  }
  return { host, port: Number(port) };
}

/**
 * Looks at the certificates that a server shows and returns the one whose SHA-256 the join token pins. Nothing is sent and nothing
 * else of this connection is believed: the next one verifies against that root alone.
 * @throws {@link PeerVerificationError} when the server shows no such root.
 */
export async function fetchPinnedRoot({ host, port }: HostPort, rootSha256: Buffer, signal: AbortSignal): Promise<string> {
  const shown = await shownCertificates(host, port, signal);
  const root = shown.find((certificate) => certificate.ca && sha256OfCertificate(certificate).equals(rootSha256));
  if (root) return root.toString();
  throw new PeerVerificationError(
    `${host}:${port} does not show the root that the join token pins (SHA-256 ${rootSha256.toString('hex')}): either it is not the control plane that made the token, or its authority has been rotated since (make a new token)`,
  );
}

function shownCertificates(host: string, port: number, signal: AbortSignal): Promise<X509Certificate[]> {
  return new Promise((resolve, reject) => {
    // Verification is off for this look only; the pin decides.
    const socket = connect({ host, port, ALPNProtocols: ['h2'], minVersion: 'TLSv1.3', rejectUnauthorized: false, ...(isIP(host) === 0 && { servername: host }) });
    const fail = (error: Error) => {
      socket.destroy();
      reject(notTls(error.message, { host, port }) ?? error);
    };
    const abort = () => fail(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', fail);
    socket.once('close', () => {
      signal.removeEventListener('abort', abort);
      reject(new Error(`${host}:${port} closed the connection during the TLS handshake`));
    });
    socket.once('secureConnect', () => {
      const certificates: X509Certificate[] = [];
      // A self-signed certificate is its own issuer; the length of a chain is the peer's choice.
      for (let next: PeerCertificate | undefined = socket.getPeerCertificate(true); next?.raw && certificates.length < 16;) {
        const issuer: PeerCertificate | undefined = (next as { issuerCertificate?: PeerCertificate }).issuerCertificate;
        certificates.push(new X509Certificate(next.raw));
        next = issuer === next ? undefined : issuer;
      }
      resolve(certificates);
      socket.destroy();
    });
  });
}

/** OpenSSL's words for a peer that answered in plain text lead nobody to the cause. */
export function notTls(message: string, { host, port }: HostPort): Error | undefined {
  if (!/wrong version number|packet length too long|record layer failure/i.test(message)) return undefined;
  return new Error(`${host}:${port} does not speak TLS: is it the plain-text or the HTTP port of \`weft up\`? The one to give is printed as xds-tls=`);
}

/**
 * Whether a server whose chain is verified is a control plane. Every workload has a certificate of the same root, so the chain
 * alone says nothing: it must be the control plane's SPIFFE ID, or carry the host name that was dialled (istiod; authorities give
 * host names to no workload).
 */
export function controlPlaneNameError(host: string, certificate: PeerCertificate): Error | undefined {
  let found = 'no workload';
  try {
    const id = peerName(new X509Certificate(certificate.raw));
    if (id.equals(controlPlaneId(id.trustDomain))) return undefined;
    found = id.toString();
  } catch {
    // No SVID: only the host name can speak for it.
  }
  // Without any name Node would compare the host with the subject.
  const hostError = certificate.subjectaltname === undefined ? new Error('no names') : checkServerIdentity(host, certificate);
  return hostError && new PeerVerificationError(`the server at ${host} is not a control plane: its certificate is of ${found}, and not for the host ${host}`, { cause: hostError });
}
