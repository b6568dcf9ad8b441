import { randomBytes } from 'node:crypto';

/** 127 random bits, positive (RFC 5280 §4.1.2.2). */
export function serialNumber(): Buffer {
  const serial = randomBytes(16);
  serial[0]! &= 0x7f;
  return serial;
}
