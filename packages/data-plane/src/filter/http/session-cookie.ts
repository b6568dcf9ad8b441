// What is in a session's cookie: base64 of a small message (address = 1, expires = 2 in seconds), which Envoy and gRPC clients write, too.

/** `expires`: seconds since the epoch; 0 = never. */
export function writeSessionCookie(address: string, expires: number): string {
  const text = Buffer.from(address);
  const bytes = [0x0a, ...varint(text.length), ...text];
  if (expires > 0) bytes.push(0x10, ...varint(expires));
  return Buffer.from(bytes).toString('base64');
}

/** Undefined where it cannot be read or is over. */
export function readSessionCookie(value: string, nowSeconds: number): string | undefined {
  const bytes = Buffer.from(value, 'base64');
  let at = 0;
  let address = '';
  let expires = 0;
  const number = (): number => {
    let result = 0;
    for (let factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++] as number;
      result += (byte & 0x7f) * factor;
      if (byte < 0x80) return result;
    }
    return Number.NaN;
  };
  while (at < bytes.length) {
    const tag = number();
    if (tag === 0x0a) {
      const length = number();
      if (!(at + length <= bytes.length)) return undefined;
      address = bytes.toString('utf8', at, (at += length));
    } else if (tag === 0x10) expires = number();
    else return undefined;
  }
  return address === '' || Number.isNaN(expires) || (expires !== 0 && expires < nowSeconds) ? undefined : address;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}
