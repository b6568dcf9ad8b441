import { X509Certificate } from 'node:crypto';
import { issued, PeerVerificationError, verifyChain } from '../peer-verifier.js';
import { splitPem } from '../pem.js';
import { TrustBundle } from '../trust-bundle.js';
import { X509Svid } from '../x509-svid.js';

/**
 * Takes the answer of a certificate authority apart: leaf, intermediates, then the self-signed roots, which become the bundle. The
 * answer is believed only as far as it fits: our key, and a chain that ends in one of those roots now.
 * @throws when it does not.
 */
export function readIssuedChain(certChain: readonly string[], keyPem: string, now: number): { svid: X509Svid; bundle: TrustBundle } {
  const blocks = certChain.flatMap((text) => splitPem(text, 'CERTIFICATE'));
  const certificates = blocks.map((block) => new X509Certificate(block));
  const roots = certificates.filter((certificate) => certificate.ca && issued(certificate, certificate));
  if (roots.length === 0) throw new PeerVerificationError('the authority answered without a root certificate');
  const chain = certificates.filter((certificate) => !roots.includes(certificate));
  const svid = X509Svid.parse({ chainPem: chain.map((certificate) => certificate.toString()).join(''), keyPem });
  const bundle = TrustBundle.parse(svid.id.trustDomain, roots.map((root) => root.toString()));
  verifyChain(chain, bundle, Math.max(now, svid.notBefore));
  return { svid, bundle };
}

/** Whether `svid`'s chain ends at this authority. */
export function issuedBy(svid: X509Svid, authority: X509Certificate): boolean {
  return svid.certificates.some((certificate) => issued(authority, certificate));
}
