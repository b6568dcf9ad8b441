// The one place where ASN.1 is written with node-forge. It writes from our own values only and never reads: forge's parser must not
// see what a stranger sent.
import forge from 'node-forge';

const { asn1 } = forge;
const { Class, Type } = asn1;

export type Asn1 = forge.asn1.Asn1;

const binary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

export const sequence = (...parts: Asn1[]): Asn1 => asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, parts);
export const set = (...parts: Asn1[]): Asn1 => asn1.create(Class.UNIVERSAL, Type.SET, true, parts);
export const oid = (dotted: string): Asn1 => asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
export const boolean = (value: boolean): Asn1 => asn1.create(Class.UNIVERSAL, Type.BOOLEAN, false, value ? '\xff' : '\x00');
export const utf8String = (text: string): Asn1 => asn1.create(Class.UNIVERSAL, Type.UTF8, false, binary(Buffer.from(text)));
export const octetString = (content: Asn1 | Uint8Array): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, content instanceof Uint8Array ? binary(content) : asn1.toDer(content).getBytes());
export const bitString = (bytes: Uint8Array, unusedBits = 0): Asn1 => asn1.create(Class.UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + binary(bytes));
/** Context-specific, constructed. */
export const explicit = (number: number, ...parts: Asn1[]): Asn1 => asn1.create(Class.CONTEXT_SPECIFIC, number, true, parts);
/** Context-specific, primitive. */
export const implicit = (number: number, bytes: Uint8Array): Asn1 => asn1.create(Class.CONTEXT_SPECIFIC, number, false, binary(bytes));

/** @param bytes big-endian, taken as a positive number. */
export function integer(bytes: Uint8Array): Asn1 {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = binary(bytes.subarray(start));
  return asn1.create(Class.UNIVERSAL, Type.INTEGER, false, digits.charCodeAt(0) >= 0x80 ? `\x00${digits}` : digits);
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). Whole seconds. */
export function time(ms: number): Asn1 {
  const date = new Date(ms);
  return date.getUTCFullYear() < 2050
    ? asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date) as unknown as string)
    : asn1.create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date) as unknown as string);
}

/** What was encoded before (a signed part, byte for byte). */
export const toDer = (node: Asn1): Buffer => Buffer.from(asn1.toDer(node).getBytes(), 'latin1');
