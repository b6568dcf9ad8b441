import { randomFillSync } from 'node:crypto';

const hex = Buffer.from('0123456789abcdef', 'latin1');
const pool = Buffer.alloc(16 * 256);
const text = Buffer.from('00000000-0000-4000-8000-000000000000', 'latin1');
let next = pool.length;

/** A UUID of version 4 in one flat string: `randomUUID` joins two dozen pieces, which all live as long as the request. */
export function requestId(): string {
  if (next === pool.length) {
    randomFillSync(pool);
    next = 0;
  }
  for (let i = 0, to = 0; i < 16; i++, to += 2) {
    if (to === 8 || to === 13 || to === 18 || to === 23) to++;
    let byte = pool[next + i] as number;
    // RFC 9562 §5.4: version and variant.
    if (i === 6) byte = (byte & 0x0f) | 0x40;
    else if (i === 8) byte = (byte & 0x3f) | 0x80;
    text[to] = hex[byte >> 4] as number;
    text[to + 1] = hex[byte & 15] as number;
  }
  next += 16;
  return text.toString('latin1');
}
