import type { X509Certificate } from 'node:crypto';
import { childrenOf, DerError, readDer, tag } from './der.js';
import { SpiffeId } from './spiffe-id.js';

const basicConstraintsOid = '551d13';
const keyUsageOid = '551d0f';
const keyCertSign = 0x04;
const cRLSign = 0x02;

/**
 * The SPIFFE ID of a leaf certificate after the leaf checks of X509-SVID §5.2. The chain is the caller's business.
 * @throws when the certificate is not an X.509-SVID of a workload.
 */
export function spiffeIdOf(leaf: X509Certificate): SpiffeId {
  if (isAuthority(leaf)) throw new Error('X.509-SVID: a CA certificate cannot be a workload identity');
  const usage = keyUsageOf(leaf);
  if (usage !== undefined && usage & (keyCertSign | cRLSign)) throw new Error('X.509-SVID: a leaf must not be allowed to sign certificates or CRLs');
  const id = SpiffeId.parse(onlyUri(leaf.subjectAltName));
  if (id.path === '') throw new Error(`X.509-SVID: ${id} names a trust domain, not a workload`);
  return id;
}

/**
 * The only URI among the names. Node quotes a value that holds a comma as JSON, so a split at ", " cannot be fooled into seeing a
 * second `URI:` item, and a quoted one fails the SPIFFE grammar.
 */
export function onlyUri(subjectAltName: string | undefined): string {
  const uris = (subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'));
  if (uris.length !== 1) throw new Error(`X.509-SVID: exactly one URI name is required, found ${uris.length}`);
  return uris[0]!.slice('URI:'.length);
}

/** cA of the basic constraints. `X509Certificate.ca` is false as well for a CA without the right to sign. */
function isAuthority(certificate: X509Certificate): boolean {
  const value = extensionOf(certificate, basicConstraintsOid);
  return value !== undefined && childrenOf(readDer(value), tag.sequence)[0]?.tag === tag.boolean;
}

/** The first byte of the keyUsage bits; undefined without the extension. node:crypto does not tell. */
function keyUsageOf(certificate: X509Certificate): number | undefined {
  const value = extensionOf(certificate, keyUsageOid);
  return value && (readDer(value).content[1] ?? 0);
}

function extensionOf(certificate: X509Certificate, name: string): Buffer | undefined {
  const [tbs] = childrenOf(readDer(certificate.raw), tag.sequence);
  if (!tbs) throw new DerError('empty certificate');
  const extensions = childrenOf(tbs, tag.sequence).find((node) => node.tag === 0xa3);
  if (!extensions) return undefined;
  for (const extension of childrenOf(readDer(extensions.content), tag.sequence)) {
    const [type, ...rest] = childrenOf(extension, tag.sequence);
    if (type?.content.toString('hex') === name) return rest.at(-1)?.content;
  }
  return undefined;
}
