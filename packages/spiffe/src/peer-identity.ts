import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { peerName, PeerVerificationError } from './peer-verifier.js';

/** Who is at the other end of a mutually authenticated connection. */
export interface PeerIdentity {
  readonly spiffeId: string;
  readonly trustDomain: string;
  readonly namespace?: string;
  readonly serviceAccount?: string;
}

const known = new WeakMap<TLSSocket, PeerIdentity | undefined>();

/**
 * The verified identity of a connection, found once and remembered. Undefined when the peer sent no certificate.
 * @throws {@link PeerVerificationError} after destroying the socket, when the session was resumed, the certificate did not verify,
 * or it is no X.509-SVID.
 */
export function peerIdentity(socket: TLSSocket): PeerIdentity | undefined {
  if (known.has(socket)) return known.get(socket);
  try {
    const identity = identify(socket);
    known.set(socket, identity);
    return identity;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/**
 * On a resumed session Node checks neither chain, expiry nor name: whatever held when the session began would hold for ever.
 * Weft never offers a session, so one that is reused is refused.
 * @throws {@link PeerVerificationError} after destroying the socket.
 */
export function verifyResumed(socket: TLSSocket): void {
  if (!socket.isSessionReused()) return;
  socket.destroy();
  throw new PeerVerificationError('the TLS session was resumed; the identity of the peer is not verified');
}

function identify(socket: TLSSocket): PeerIdentity | undefined {
  verifyResumed(socket);
  const leaf = socket.getPeerX509Certificate();
  if (!leaf) return undefined;
  // With an optional client certificate Node lets an untrusted one through and only notes it here.
  if (!socket.authorized) throw new PeerVerificationError(`the peer's certificate is not trusted: ${String(socket.authorizationError)}`);
  return identityIn(leaf);
}

/**
 * The identity in a leaf certificate that TLS has verified, where the socket is out of reach (gRPC's `getAuthContext`).
 * @throws {@link PeerVerificationError} when it is no X.509-SVID.
 */
export function identityIn(leaf: X509Certificate): PeerIdentity {
  const id = peerName(leaf);
  const { namespace, serviceAccount } = id;
  return Object.freeze({
    spiffeId: id.toString(),
    trustDomain: id.trustDomain,
    ...(namespace !== undefined && { namespace }),
    ...(serviceAccount !== undefined && { serviceAccount }),
  });
}
