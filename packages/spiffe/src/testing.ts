import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { FakeClock } from './fake-clock.js';
import { bitString, boolean, der, explicit, implicit, integer, octetString, oid, sequence, tag } from './der.js';
import { encodePem } from './pem.js';
import { IdentityHolder } from './svid-source.js';
import { TrustBundle } from './trust-bundle.js';
import { X509Svid } from './x509-svid.js';

export { FakeClock };

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));

export interface TestLeaf {
  /** URI names; a correct SVID has one. */
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  /** Milliseconds since the epoch. Default: a minute ago to in an hour. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly ca?: boolean;
  /** The first byte of the keyUsage bits. Default digitalSignature, or keyCertSign for a CA. */
  readonly keyUsage?: number;
}

/**
 * A certificate authority for tests that may issue wrong certificates as easily as right ones. (The real one is @weft/ca, which
 * refuses to.)
 */
export class TestAuthority {
  readonly trustDomain: string;
  readonly pem: string;
  readonly #key: KeyObject;
  readonly #name: Buffer;
  /** The certificates between this authority and its root. */
  readonly #chain: string;

  private constructor(trustDomain: string, pem: string, key: KeyObject, name: Buffer, chain: string) {
    this.trustDomain = trustDomain;
    this.pem = pem;
    this.#key = key;
    this.#name = name;
    this.#chain = chain;
  }

  /** @param commonName to make two authorities of one name. */
  static create(trustDomain: string, commonName = `root of ${trustDomain} ${randomBytes(4).toString('hex')}`): TestAuthority {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const name = distinguishedName(commonName);
    const pem = certificate({ issuer: name, subject: name, publicKey, leaf: { ca: true, uris: [`spiffe://${trustDomain}`], notAfter: Date.now() + 86_400_000 } }, privateKey);
    return new TestAuthority(trustDomain, pem, privateKey, name, '');
  }

  get bundle(): TrustBundle {
    return TrustBundle.parse(this.trustDomain, this.pem);
  }

  /** An authority below this one; its leaves carry it in their chain. */
  intermediate(leaf: TestLeaf = {}): TestAuthority {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const name = distinguishedName(`intermediate ${randomBytes(4).toString('hex')}`);
    const pem = certificate({ issuer: this.#name, subject: name, publicKey, leaf: { ca: true, notAfter: Date.now() + 43_200_000, ...leaf } }, this.#key);
    return new TestAuthority(this.trustDomain, pem, privateKey, name, pem + this.#chain);
  }

  issue(leaf: TestLeaf): { chainPem: string; keyPem: string } {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const own = certificate({ issuer: this.#name, subject: sequence(), publicKey, leaf }, this.#key);
    return { chainPem: own + this.#chain, keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string };
  }

  /** @param path of the SPIFFE ID, such as `/ns/shop/sa/web`. */
  svid(path: string, leaf: Omit<TestLeaf, 'uris'> = {}): X509Svid {
    return X509Svid.parse(this.issue({ ...leaf, uris: [`spiffe://${this.trustDomain}${path}`] }));
  }

  /** A source that has an identity of this authority already; `set` rotates it. */
  source(path: string, ...foreign: TestAuthority[]): IdentityHolder {
    const holder = new IdentityHolder();
    holder.set(this.svid(path), bundlesOf(this, ...foreign));
    return holder;
  }
}

export function bundlesOf(...authorities: TestAuthority[]): Map<string, TrustBundle> {
  return new Map(authorities.map((authority) => [authority.trustDomain, authority.bundle]));
}

function certificate({ issuer, subject, publicKey, leaf }: { issuer: Buffer; subject: Buffer; publicKey: KeyObject; leaf: TestLeaf }, key: KeyObject): string {
  const { ca = false, uris = [], dnsNames = [] } = leaf;
  const names = [...uris.map((uri) => implicit(6, Buffer.from(uri))), ...dnsNames.map((name) => implicit(2, Buffer.from(name)))];
  const extensions = [
    extension('2.5.29.19', sequence(...(ca ? [boolean(true)] : []))),
    extension('2.5.29.15', bitString(Buffer.from([leaf.keyUsage ?? (ca ? 0x06 : 0x80)]), ca ? 1 : 0)),
    ...(names.length > 0 ? [extension('2.5.29.17', sequence(...names))] : []),
  ];
  const validity = sequence(time(leaf.notBefore ?? Date.now() - 60_000), time(leaf.notAfter ?? Date.now() + 3_600_000));
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(15)]);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const tbs = sequence(explicit(0, integer(Buffer.from([2]))), integer(serial), ecdsaWithSha256, issuer, validity, subject, spki, explicit(3, sequence(...extensions)));
  return encodePem('CERTIFICATE', sequence(tbs, ecdsaWithSha256, bitString(sign('sha256', tbs, key))));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(der(tag.set, sequence(oid('2.5.4.3'), der(tag.utf8String, Buffer.from(commonName)))));
}

function extension(name: string, value: Buffer): Buffer {
  return sequence(oid(name), boolean(true), octetString(value));
}

function time(ms: number): Buffer {
  return der(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')));
}
