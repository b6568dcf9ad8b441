import { isIPv4 } from 'node:net';

/** The 4 or 16 bytes of a valid IP address without zone. */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  // The URL parser writes every spelling of IPv6 in the same hexadecimal form, embedded IPv4 included.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string | undefined) => (text ? text.split(':') : []);
  const zeros = Array<string>(8 - groups(head).length - groups(tail).length).fill('0');
  return Buffer.from([...groups(head), ...zeros, ...groups(tail)].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** As OpenSSL prints an address in a list of names: IPv6 in eight groups without leading zeros. */
export function printedAddress(address: string): string {
  const bytes = addressBytes(address);
  if (bytes.length === 4) return bytes.join('.');
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16).toUpperCase()).join(':');
}
