import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { expect, it } from 'vitest';
import { createCsr, splitPem } from './index.js';
import { childrenOf, DerError, integer, oid, readDer, sequence, tag } from './der.js';

const openssl = (() => {
  try {
    return execFileSync('openssl', ['version']).toString().startsWith('OpenSSL');
  } catch {
    return false;
  }
})();

it.skipIf(!openssl)('is a request that OpenSSL reads and whose proof of possession holds', async () => {
  const { csrPem } = await createCsr({ uri: 'spiffe://td/ns/a/sa/b' });
  const text = execFileSync('openssl', ['req', '-noout', '-text', '-verify'], { input: csrPem, stdio: ['pipe', 'pipe', 'ignore'] }).toString();
  expect(text).toContain('URI:spiffe://td/ns/a/sa/b');
  expect(text).toContain('ASN1 OID: prime256v1');
  expect(text).toContain('ecdsa-with-SHA256');
});

it('has a new key each time, and no names unless asked', async () => {
  const [one, two] = await Promise.all([createCsr(), createCsr()]);
  expect(one!.keyPem).not.toBe(two!.keyPem);
  const body = Buffer.from(splitPem(one!.csrPem, 'CERTIFICATE REQUEST')[0]!.replace(/-----[^-]+-----/g, ''), 'base64');
  const info = childrenOf(childrenOf(readDer(body), tag.sequence)[0]!, tag.sequence);
  expect(info).toHaveLength(4);
  expect(info[3]!.content).toHaveLength(0);
  expect(info[2]!.raw.equals(createPublicKey(createPrivateKey(one!.keyPem)).export({ type: 'spki', format: 'der' }))).toBe(true);
});

it.each([
  ['indefinite length', '3080020101' + '0000'],
  ['a length with a leading zero', '30820003020101'],
  ['a long form where the short one fits', '308103020101'],
  ['a length beyond the end', '3004020101'],
  ['trailing bytes', '300302010100'],
  ['a high tag', '1f8100'],
  ['a length of 4 bytes', '308400000003020101'],
  ['nothing', ''],
  ['a tag alone', '30'],
])('the reader refuses %s', (_name, hex) => {
  expect(() => childrenOf(readDer(Buffer.from(hex, 'hex')), tag.sequence)).toThrow(DerError);
});

it('the writer makes minimal integers, object identifiers and lengths', () => {
  expect(integer(Buffer.from([0, 0, 0x80])).toString('hex')).toBe('02020080');
  expect(integer(Buffer.from([0])).toString('hex')).toBe('020100');
  expect(oid('1.2.840.10045.4.3.2').toString('hex')).toBe('06082a8648ce3d040302');
  for (const size of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) expect(readDer(sequence(Buffer.alloc(size))).content).toHaveLength(size);
});
