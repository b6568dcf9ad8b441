// DER as Weft needs it: a writer for certificates and requests made of our own constants, and a reader that accepts nothing but
// definite, minimal lengths and low tags (X.690 §10). It reads certificates and requests that strangers send.

export interface DerNode {
  readonly tag: number;
  /** Header and content. */
  readonly raw: Buffer;
  readonly content: Buffer;
}

export class DerError extends Error {
  constructor(reason: string) {
    super(`DER: ${reason}`);
    this.name = 'DerError';
  }
}

export const tag = { boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, utf8String: 0x0c, utcTime: 0x17, sequence: 0x30, set: 0x31 } as const;

/** The one value that `bytes` are; a trailing byte is an error. */
export function readDer(bytes: Buffer): DerNode {
  const node = readAt(bytes, 0);
  if (node.raw.length !== bytes.length) throw new DerError('trailing bytes');
  return node;
}

/** The values inside a constructed one. */
export function childrenOf(node: DerNode, expectedTag: number): DerNode[] {
  if (node.tag !== expectedTag) throw new DerError(`tag ${node.tag} where ${expectedTag} belongs`);
  const nodes: DerNode[] = [];
  for (let offset = 0; offset < node.content.length;) {
    const child = readAt(node.content, offset);
    nodes.push(child);
    offset += child.raw.length;
  }
  return nodes;
}

function readAt(bytes: Buffer, start: number): DerNode {
  const first = bytes[start];
  const short = bytes[start + 1];
  if (first === undefined || short === undefined) throw new DerError('truncated');
  if ((first & 0x1f) === 0x1f) throw new DerError('high tag number');
  let length = short;
  let offset = start + 2;
  if (short >= 0x80) {
    const count = short & 0x7f;
    if (count === 0) throw new DerError('indefinite length');
    if (count > 3) throw new DerError('length of more than 3 bytes');
    if (offset + count > bytes.length) throw new DerError('truncated');
    length = bytes.readUIntBE(offset, count);
    offset += count;
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw new DerError('length not minimal');
  }
  if (offset + length > bytes.length) throw new DerError('truncated');
  return { tag: first, raw: bytes.subarray(start, offset + length), content: bytes.subarray(offset, offset + length) };
}

export function der(tagByte: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tagByte, content.length]), content]);
  const length = Buffer.from(content.length.toString(16).padStart(content.length > 0xffff ? 6 : content.length > 0xff ? 4 : 2, '0'), 'hex');
  return Buffer.concat([Buffer.from([tagByte, 0x80 | length.length]), length, content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => der(tag.sequence, ...parts);
export const octetString = (...parts: readonly Uint8Array[]): Buffer => der(tag.octetString, ...parts);
export const bitString = (bytes: Uint8Array, unusedBits = 0): Buffer => der(tag.bitString, Buffer.from([unusedBits]), bytes);
export const boolean = (value: boolean): Buffer => der(tag.boolean, Buffer.from([value ? 0xff : 0]));
/** Constructed, context-specific. */
export const explicit = (number: number, ...parts: readonly Uint8Array[]): Buffer => der(0xa0 | number, ...parts);
/** Primitive, context-specific. */
export const implicit = (number: number, bytes: Uint8Array): Buffer => der(0x80 | number, bytes);

/** @param bytes big-endian, taken as a positive number. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = Buffer.from(bytes.subarray(start));
  return der(tag.integer, digits[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits);
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const septets = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) septets.unshift((left & 0x7f) | 0x80);
    bytes.push(...septets);
  }
  return der(tag.oid, Buffer.from(bytes));
}
