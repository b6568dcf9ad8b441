import { generateKeyPair, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { bitString, boolean, explicit, implicit, integer, octetString, oid, sequence, der, tag } from './der.js';
import { encodePem } from './pem.js';

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));

export interface KeyAndCsr {
  readonly csrPem: string;
  readonly keyPem: string;
}

/**
 * A new P-256 key and the PKCS#10 request for it (RFC 2986). The names are a wish at most: an authority takes them from who asks.
 * @param uri the SPIFFE ID, where the caller knows it.
 */
export async function createCsr({ uri }: { uri?: string } = {}): Promise<KeyAndCsr> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const csr = encodeCsr({ publicKey, privateKey, names: uri === undefined ? [] : [implicit(6, Buffer.from(uri))] });
  return { csrPem: encodePem('CERTIFICATE REQUEST', csr), keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string };
}

/** @param names GeneralNames (RFC 5280 §4.2.1.6), encoded. */
export function encodeCsr({ publicKey, privateKey, names }: { publicKey: KeyObject; privateKey: KeyObject; names: readonly Buffer[] }): Buffer {
  const subjectAltName = sequence(oid('2.5.29.17'), boolean(true), octetString(sequence(...names)));
  const extensionRequest = sequence(oid('1.2.840.113549.1.9.14'), der(tag.set, sequence(subjectAltName)));
  const info = sequence(
    integer(Buffer.from([0])),
    sequence(),
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(0, ...(names.length === 0 ? [] : [extensionRequest])),
  );
  return sequence(info, ecdsaWithSha256, bitString(sign('sha256', info, privateKey)));
}
