import { generateKeyPairSync, randomBytes, sign, type KeyObject, type X509Certificate } from 'node:crypto';
import { bitString, boolean, childrenOf, der, explicit, implicit, integer, octetString, oid, readDer, sequence, tag } from './der.js';
import { encodePem } from './pem.js';
import type { TrustBundle } from './trust-bundle.js';

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));
const certificateAuthority = extension('2.5.29.19', sequence(boolean(true)));
const certificateSigning = extension('2.5.29.15', bitString(Buffer.from([0x06]), 1));

/**
 * CA certificates with which OpenSSL accepts, from each bundle's roots, only names of that bundle's trust domain.
 *
 * A plain union of the bundles would let any trust domain's authority issue identities of every other (SPIFFE Federation forbids
 * it), and the verified chain cannot be asked afterwards: Node shows it incompletely (nodejs/node#65579, #46163). So each root is
 * signed again, same subject and key, by a root made here, with a critical name constraint on URIs; the key of that root is gone
 * when this returns. A certificate without any URI passes the constraint, so the check for exactly one stays necessary.
 */
export function bridgeBundles(bundles: Iterable<TrustBundle>): string[] {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = sequence(der(tag.set, sequence(oid('2.5.4.3'), der(tag.utf8String, Buffer.from(`weft bridge ${randomBytes(8).toString('hex')}`)))));
  const forever = sequence(time('19700101000000Z'), time('99991231235959Z'));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const root = certificate({ issuer, subject: issuer, validity: forever, spki, extensions: [certificateAuthority, certificateSigning] }, privateKey);
  const crossed: string[] = [];
  for (const bundle of bundles) {
    const constraint = extension('2.5.29.30', sequence(explicit(0, sequence(implicit(6, Buffer.from(bundle.trustDomain))))));
    for (const authority of bundle.authorities) {
      crossed.push(certificate({ issuer, ...namesOf(authority), extensions: [certificateAuthority, certificateSigning, constraint] }, privateKey));
    }
  }
  return [root, ...crossed];
}

interface Template {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly validity: Buffer;
  readonly spki: Buffer;
  readonly extensions: readonly Buffer[];
}

function certificate({ issuer, subject, validity, spki, extensions }: Template, key: KeyObject): string {
  const version3 = explicit(0, integer(Buffer.from([2])));
  const serial = randomBytes(16);
  serial[0]! &= 0x7f;
  const tbs = sequence(version3, integer(serial), ecdsaWithSha256, issuer, validity, subject, spki, explicit(3, sequence(...extensions)));
  return encodePem('CERTIFICATE', sequence(tbs, ecdsaWithSha256, bitString(sign('sha256', tbs, key))));
}

/** Subject, key and validity as the root itself writes them: the copy must never outlive it. */
function namesOf(authority: X509Certificate): Pick<Template, 'subject' | 'validity' | 'spki'> {
  const [tbs] = childrenOf(readDer(authority.raw), tag.sequence);
  const fields = childrenOf(tbs!, tag.sequence);
  const first = fields[0]?.tag === 0xa0 ? 1 : 0;
  // version?, serial, algorithm, issuer, validity, subject, key
  const [validity, subject, spki] = fields.slice(first + 3, first + 6);
  if (!validity || !subject || !spki) throw new Error('CA certificate: fields are missing');
  return { validity: validity.raw, subject: subject.raw, spki: spki.raw };
}

function extension(name: string, value: Buffer): Buffer {
  return sequence(oid(name), boolean(true), octetString(value));
}

function time(generalized: string): Buffer {
  return der(0x18, Buffer.from(generalized));
}
