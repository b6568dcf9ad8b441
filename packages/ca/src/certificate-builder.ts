import { createHash } from 'node:crypto';
import { encodePem } from '@weft/spiffe';
import { bitString, boolean, explicit, implicit, integer, octetString, oid, sequence, set, time, toDer, utf8String, type Asn1 } from './der/writer.js';
import { addressBytes } from './ip-address.js';

/** A P-256 public key as the 65 bytes of its uncompressed point. */
export type PublicPoint = Buffer;

interface Template {
  readonly serial: Uint8Array;
  /** Milliseconds since the epoch; whole seconds are written. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly point: PublicPoint;
}

export interface LeafTemplate extends Template {
  readonly spiffeId: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly issuer: { readonly commonName: string; readonly point: PublicPoint };
}

export interface RootTemplate extends Template {
  readonly commonName: string;
  readonly trustDomain: string;
}

/** Signs with the issuer's key: ECDSA over SHA-256, DER. */
export type Sign = (tbs: Buffer) => Promise<Buffer>;

const ecdsaWithSha256 = () => sequence(oid('1.2.840.10045.4.3.2'));

/** An X.509-SVID (X509-SVID §3, §4): no subject, hence critical names; may authenticate both ends of TLS and nothing else. */
export function buildLeaf(template: LeafTemplate, sign: Sign): Promise<string> {
  const names = [
    implicit(6, Buffer.from(template.spiffeId)),
    ...template.dnsNames.map((name) => implicit(2, Buffer.from(name))),
    ...template.ipAddresses.map((address) => implicit(7, addressBytes(address))),
  ];
  return build(template, sequence(), commonName(template.issuer.commonName), [
    extension('2.5.29.19', true, sequence()),
    extension('2.5.29.15', true, bitString(Buffer.from([0x80]), 7)),
    extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2'))),
    extension('2.5.29.17', true, sequence(...names)),
    extension('2.5.29.14', false, octetString(keyIdentifier(template.point))),
    extension('2.5.29.35', false, sequence(implicit(0, keyIdentifier(template.issuer.point)))),
  ], sign);
}

/** A self-signed authority of a trust domain. */
export function buildRoot(template: RootTemplate, sign: Sign): Promise<string> {
  const name = commonName(template.commonName);
  return build(template, name, name, [
    extension('2.5.29.19', true, sequence(boolean(true))),
    extension('2.5.29.15', true, bitString(Buffer.from([0x06]), 1)),
    extension('2.5.29.17', false, sequence(implicit(6, Buffer.from(`spiffe://${template.trustDomain}`)))),
    extension('2.5.29.14', false, octetString(keyIdentifier(template.point))),
  ], sign);
}

async function build(template: Template, subject: Asn1, issuer: Asn1, extensions: Asn1[], sign: Sign): Promise<string> {
  const tbs = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(template.serial),
    ecdsaWithSha256(),
    issuer,
    sequence(time(template.notBefore), time(template.notAfter)),
    subject,
    subjectPublicKeyInfo(template.point),
    explicit(3, sequence(...extensions)),
  );
  const signature = await sign(toDer(tbs));
  return encodePem('CERTIFICATE', toDer(sequence(tbs, ecdsaWithSha256(), bitString(signature))));
}

function subjectPublicKeyInfo(point: PublicPoint): Asn1 {
  return sequence(sequence(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7')), bitString(point));
}

function commonName(name: string): Asn1 {
  return sequence(set(sequence(oid('2.5.4.3'), utf8String(name))));
}

function extension(name: string, critical: boolean, value: Asn1): Asn1 {
  return sequence(oid(name), ...(critical ? [boolean(true)] : []), octetString(value));
}

// RFC 7093 §2 method 1.
function keyIdentifier(point: PublicPoint): Buffer {
  return createHash('sha256').update(point).digest().subarray(0, 20);
}
