/** Whether these (in hexadecimal) occur one after the other, whatever stands between them. */
export function inOrder(received: Buffer, expected: readonly string[]): boolean {
  let from = 0;
  for (const hex of expected) {
    const part = Buffer.from(hex, 'hex');
    const at = received.indexOf(part, from);
    if (at === -1) return false;
    from = at + part.length;
  }
  return true;
}
