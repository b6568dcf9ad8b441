import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { childrenOf, DerError, readDer, tag, type DerNode } from '@weft/spiffe/der';

const longestPem = 4096;
const begin = '-----BEGIN CERTIFICATE REQUEST-----';
const end = '-----END CERTIFICATE REQUEST-----';
const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
// SubjectPublicKeyInfo of an uncompressed P-256 point up to the 0x04, lengths included, so that nothing can follow. OpenSSL also reads explicit curve parameters, compressed
// points, other curves and trailing bytes; one spelling of one kind of key is enough.
const p256Prefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const extensionRequest = '2a864886f70d01090e';
const subjectAltName = '551d11';

/** A request is not acceptable; says why in one line, and holds nothing of the request but that. */
export class CsrError extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(`CSR: ${reason}`, options);
    this.name = 'CsrError';
  }
}

export interface Csr {
  readonly publicKey: KeyObject;
  /** The uncompressed point, 65 bytes. */
  readonly point: Buffer;
  /** GeneralNames of the subjectAltName that it asks for: the tag and the value of each. */
  readonly names: readonly { readonly tag: number; readonly value: string }[];
}

/**
 * Reads a PKCS#10 request from a stranger and checks its proof of possession. Everything in it but the key is a wish; names are
 * returned so that a wish for other names than the granted one can be refused, and nothing else is looked at.
 * @throws {@link CsrError} for anything that is not canonical DER of a P-256 request.
 */
export function readCsr(pem: string): Csr {
  const bytes = fromPem(pem);
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof DerError) throw new CsrError(error.message, { cause: error });
    throw error;
  }
}

function read(bytes: Buffer): Csr {
  const [info, algorithm, signature, ...more] = childrenOf(readDer(bytes), tag.sequence);
  if (!info || !algorithm || !signature || more.length > 0) throw new CsrError('not a CertificationRequest');
  const [version, subject, spki, attributes, ...rest] = childrenOf(info, tag.sequence);
  if (!version || !subject || !spki || !attributes || rest.length > 0) throw new CsrError('not a CertificationRequestInfo');
  if (!version.raw.equals(Buffer.from([tag.integer, 1, 0]))) throw new CsrError('the version must be 0');
  if (subject.tag !== tag.sequence) throw new CsrError('the subject is not a name');
  if (!algorithm.raw.equals(ecdsaWithSha256)) throw new CsrError('the signature algorithm must be ecdsa-with-SHA256');
  if (!spki.raw.subarray(0, p256Prefix.length).equals(p256Prefix)) throw new CsrError('the key must be an uncompressed P-256 point');
  if (signature.tag !== tag.bitString || signature.content[0] !== 0) throw new CsrError('the signature is not a whole number of bytes');
  const names = namesOf(attributes);
  const publicKey = keyOf(spki.raw);
  // Over the bytes as they came, not over an encoding of what was read.
  if (!verify('sha256', info.raw, publicKey, signature.content.subarray(1))) throw new CsrError('the signature is not by the key in the request');
  return { publicKey, point: Buffer.from(spki.raw.subarray(-65)), names };
}

function keyOf(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch (error) {
    throw new CsrError('the key is not a point of P-256', { cause: error });
  }
}

function namesOf(attributes: DerNode): Csr['names'] {
  const requests = childrenOf(attributes, 0xa0).filter((attribute) => {
    const [type, values, ...more] = childrenOf(attribute, tag.sequence);
    if (type?.tag !== tag.oid || values?.tag !== tag.set || more.length > 0) throw new CsrError('not an attribute');
    return type.content.toString('hex') === extensionRequest;
  });
  if (requests.length > 1) throw new CsrError('more than one extensionRequest');
  if (!requests[0]) return [];
  const values = childrenOf(childrenOf(requests[0], tag.sequence)[1]!, tag.set);
  if (values.length !== 1) throw new CsrError('an extensionRequest has one value');
  const extensions = childrenOf(values[0]!, tag.sequence).map(extensionOf).filter(({ type }) => type === subjectAltName);
  if (extensions.length > 1) throw new CsrError('more than one subjectAltName');
  return extensions.flatMap(({ value }) => childrenOf(readDer(value), tag.sequence).map(({ tag: kind, content }) => ({ tag: kind, value: content.toString('latin1') })));
}

function extensionOf(node: DerNode): { type: string; value: Buffer } {
  const parts = childrenOf(node, tag.sequence);
  const [type, second, third] = parts;
  const critical = parts.length === 3;
  const value = critical ? third : second;
  if (type?.tag !== tag.oid || value?.tag !== tag.octetString || parts.length > 3 || (critical && second?.raw.toString('hex') !== '0101ff')) throw new CsrError('not an extension');
  return { type: type.content.toString('hex'), value: value.content };
}

/** One block, canonical base64, nothing around it but white space. No regular expression sees the whole text before its size is known. */
function fromPem(pem: string): Buffer {
  if (pem.length > longestPem) throw new CsrError(`longer than ${longestPem} characters`);
  const text = pem.trim();
  if (!text.startsWith(begin) || !text.endsWith(end)) throw new CsrError(`expected one PEM block, ${begin}`);
  const base64 = text.slice(begin.length, -end.length).replace(/\r?\n/g, '');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') !== base64) throw new CsrError('the PEM block is not base64');
  return bytes;
}
