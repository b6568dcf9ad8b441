import { X509Certificate } from 'node:crypto';
import { spiffeIdOf } from './certificate-names.js';
import type { SpiffeId } from './spiffe-id.js';
import type { TrustBundle } from './trust-bundle.js';

/** A peer is not who it has to be. The connection must not be used. */
export class PeerVerificationError extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = 'PeerVerificationError';
  }
}

/**
 * The identity in a peer's leaf certificate, compared with the expected ones. The chain must have been verified already.
 * @param expectedIds exact SPIFFE IDs; empty = any workload of `trustDomain`.
 * @throws {@link PeerVerificationError}
 */
export function verifyPeerName(leaf: X509Certificate, expectedIds: readonly string[], trustDomain: string): SpiffeId {
  const id = peerName(leaf);
  if (expectedIds.length === 0 ? id.trustDomain !== trustDomain : !expectedIds.includes(id.toString())) {
    const wanted = expectedIds.length === 0 ? `any identity of ${trustDomain}` : expectedIds.join(' or ');
    throw new PeerVerificationError(`the peer is ${id}, expected ${wanted}`);
  }
  return id;
}

/** @throws {@link PeerVerificationError} when the certificate is not a workload's X.509-SVID. */
export function peerName(leaf: X509Certificate): SpiffeId {
  try {
    return spiffeIdOf(leaf);
  } catch (error) {
    throw new PeerVerificationError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

// A chain longer than this is an attack or a mistake.
const longestChain = 8;

/**
 * Verifies a chain outside of TLS: leaf first, intermediates in any order, against the bundle of the leaf's own trust domain.
 * @throws {@link PeerVerificationError}
 */
export function verifyChain(chain: readonly X509Certificate[], bundle: TrustBundle, now: number): SpiffeId {
  const leaf = chain[0];
  if (!leaf) throw new PeerVerificationError('the peer sent no certificate');
  const id = peerName(leaf);
  if (id.trustDomain !== bundle.trustDomain) throw new PeerVerificationError(`${id} is not of the trust domain ${bundle.trustDomain}`);
  let certificate = leaf;
  for (let depth = 0; depth < longestChain; depth++) {
    checkTime(certificate, now);
    const root = bundle.authorities.find((authority) => issued(authority, certificate));
    if (root) {
      checkTime(root, now);
      return id;
    }
    const issuer = chain.find((candidate) => candidate !== certificate && candidate.ca && issued(candidate, certificate));
    if (!issuer) break;
    certificate = issuer;
  }
  throw new PeerVerificationError(`the certificate of ${id} was not issued by an authority of ${bundle.trustDomain}`);
}

/** Whether `issuer` signed `certificate`, by name, key usage and signature. */
export function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function checkTime(certificate: X509Certificate, now: number): void {
  if (now < certificate.validFromDate.getTime()) throw new PeerVerificationError(`the certificate is not valid before ${certificate.validFrom}`);
  if (now >= certificate.validToDate.getTime()) throw new PeerVerificationError(`the certificate expired at ${certificate.validTo}`);
}
