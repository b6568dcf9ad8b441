import { createHash, type X509Certificate } from 'node:crypto';

const prefix = 'weft1.';
const pattern = /^weft1\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** A join token proves a workload to the authority (secret) and the authority to the workload (SHA-256 of its root). */
export interface JoinToken {
  /** 256 bits, base64url. */
  readonly secret: string;
  /** SHA-256 of the root certificate's DER. */
  readonly rootSha256: Buffer;
}

export function formatJoinToken({ secret, rootSha256 }: JoinToken): string {
  return `${prefix}${secret}.${rootSha256.toString('base64url')}`;
}

/**
 * Undefined for text that is no join token (another kind of bearer token).
 * @throws when it is one, but damaged. The error does not repeat the text.
 */
export function parseJoinToken(text: string): JoinToken | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const [, secret, root] = pattern.exec(text) ?? [];
  if (!secret || !root) throw new Error('the join token is damaged: expected weft1.SECRET.ROOT as `weft token create` printed it');
  return { secret, rootSha256: Buffer.from(root, 'base64url') };
}

export function sha256OfCertificate(certificate: X509Certificate): Buffer {
  return createHash('sha256').update(certificate.raw).digest();
}
