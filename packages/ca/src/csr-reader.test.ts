import { generateKeyPairSync, randomInt, sign, type KeyObject } from 'node:crypto';
import { createCsr, encodeCsr, encodePem, splitPem } from '@weft/spiffe';
import { bitString, der, explicit, integer, octetString, oid, sequence, tag } from '@weft/spiffe/der';
import { describe, expect, it } from 'vitest';
import { CsrError, readCsr } from './index.js';

const p256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = (bytes: Uint8Array) => encodePem('CERTIFICATE REQUEST', bytes);
const derOf = (text: string) => Buffer.from(text.replace(/-----[^-]+-----/g, ''), 'base64');
const spkiOf = (key: KeyObject) => key.export({ type: 'spki', format: 'der' });
const ecdsa = sequence(oid('1.2.840.10045.4.3.2'));
const nothing = explicit(0);

interface Parts {
  keys?: { publicKey: KeyObject; privateKey: KeyObject };
  spki?: Buffer;
  attributes?: Buffer;
  algorithm?: Buffer;
  version?: Buffer;
  subject?: Buffer;
  hash?: string;
  more?: Buffer;
}
/** A request whose signature is right whatever else is wrong with it. */
function request({ keys = p256(), spki = spkiOf(keys.publicKey), attributes = nothing, algorithm = ecdsa, version = integer(Buffer.from([0])), subject = sequence(), hash = 'sha256', more = Buffer.alloc(0) }: Parts): string {
  const info = sequence(version, subject, spki, attributes, more);
  return pem(sequence(info, algorithm, bitString(sign(hash, info, keys.privateKey))));
}
const extensionRequest = (...extensions: Buffer[]) => sequence(oid('1.2.840.113549.1.9.14'), der(tag.set, sequence(...extensions)));
const san = (names: Buffer) => sequence(oid('2.5.29.17'), octetString(names));

describe('readCsr', () => {
  it('returns key and names of a good request', async () => {
    const { csrPem } = await createCsr({ uri: 'spiffe://td/x' });
    const csr = readCsr(csrPem);
    expect(csr.names).toEqual([{ tag: 0x86, value: 'spiffe://td/x' }]);
    expect(csr.point[0]).toBe(4);
    expect(spkiOf(csr.publicKey).subarray(-65).equals(csr.point)).toBe(true);
    expect(readCsr((await createCsr()).csrPem).names).toEqual([]);
    expect(readCsr(request({})).names).toEqual([]);
  });

  it('ignores wishes that are not names', () => {
    const keyUsage = sequence(oid('2.5.29.15'), octetString(bitString(Buffer.from([0x04]))));
    const isCa = sequence(oid('2.5.29.19'), octetString(sequence(der(tag.boolean, Buffer.from([0xff])))));
    const challenge = sequence(oid('1.2.840.113549.1.9.7'), der(tag.set, der(tag.utf8String, Buffer.from('secret'))));
    expect(readCsr(request({ attributes: explicit(0, challenge, extensionRequest(keyUsage, isCa)) })).names).toEqual([]);
  });

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const explicitCurve = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' });
  const good = p256();
  const compressed = Buffer.concat([Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'), Buffer.from([2]), spkiOf(good.publicKey).subarray(27, 59)]);
  const offCurve = Buffer.from(spkiOf(good.publicKey));
  offCurve[90]! ^= 1;
  const signedByOther = sequence(sequence(integer(Buffer.from([0])), sequence(), spkiOf(p256().publicKey), nothing), ecdsa, bitString(sign('sha256', Buffer.from('x'), good.privateKey)));
  const valid = request({});

  it.each<[string, string]>([
    ['an RSA key', request({ keys: rsa })],
    ['a P-384 key', request({ keys: p384 })],
    ['a secp256k1 key', request({ keys: secp256k1 })],
    ['P-256 with explicit parameters', request({ keys: explicitCurve })],
    ['a compressed point', request({ keys: good, spki: compressed })],
    ['a point off the curve', request({ keys: good, spki: offCurve })],
    ['bytes after the key', request({ keys: good, spki: Buffer.concat([spkiOf(good.publicKey), Buffer.from([0])]) })],
    ['a signature by another key', pem(signedByOther)],
    ['SHA-1 as algorithm', request({ algorithm: sequence(oid('1.2.840.10045.4.1')), hash: 'sha1' })],
    ['SHA-384 under the name of SHA-256', request({ hash: 'sha384' })],
    ['algorithm parameters', request({ algorithm: sequence(oid('1.2.840.10045.4.3.2'), Buffer.from([5, 0])) })],
    ['version 1', request({ version: integer(Buffer.from([1])) })],
    ['a subject that is no name', request({ subject: octetString(Buffer.from('x')) })],
    ['no attributes field', request({ attributes: Buffer.alloc(0) })],
    ['a field too many', request({ more: explicit(1) })],
    ['two extension requests', request({ attributes: explicit(0, extensionRequest(), extensionRequest()) })],
    ['two subjectAltNames', request({ attributes: explicit(0, extensionRequest(san(sequence()), san(sequence()))) })],
    ['a subjectAltName with trailing bytes', request({ attributes: explicit(0, extensionRequest(san(Buffer.concat([sequence(), Buffer.from([0])])))) })],
    ['nothing', ''],
    ['no PEM', 'hello'],
    ['another label', valid.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')],
    ['two blocks', valid + valid],
    ['text before it', `x\n${valid}`],
    ['text after it', `${valid}x`],
    ['base64 with a stray character', valid.replace('\n', '\n!')],
    ['more than 4 KiB', valid + ' '.repeat(4096)],
    ['many BEGIN lines', '-----BEGIN CERTIFICATE REQUEST-----'.repeat(100)],
    ['deep nesting', pem(Array.from({ length: 700 }).reduce<Buffer>((inner) => sequence(inner), Buffer.alloc(0)))],
    ['an indefinite length', pem(Buffer.concat([Buffer.from([0x30, 0x80]), derOf(valid).subarray(3), Buffer.from([0, 0])]))],
    ['trailing bytes', pem(Buffer.concat([derOf(valid), Buffer.from([0])]))],
    ['a negative r in the signature', request({}).replace(/[\s\S]*/, (text) => pem(negative(derOf(text))))],
  ])('refuses %s', (_name, text) => {
    expect(() => readCsr(text)).toThrow(CsrError);
  });

  it('refuses a request cut off at any byte', async () => {
    const whole = derOf((await createCsr({ uri: 'spiffe://td/x' })).csrPem);
    for (let length = 0; length < whole.length; length++) expect(() => readCsr(pem(whole.subarray(0, length))), `${length} bytes`).toThrow(CsrError);
  });

  it('accepts no mutation, and fails in one way only', async () => {
    const seed = Number(process.env['WEFT_TEST_SEED'] ?? randomInt(2 ** 31));
    const random = mulberry32(seed);
    const original = derOf((await createCsr({ uri: 'spiffe://td/ns/a/sa/b' })).csrPem);
    const pick = (limit: number) => Math.floor(random() * limit);
    for (let round = 0; round < 20_000; round++) {
      let bytes = Buffer.from(original);
      for (let changes = 1 + pick(3); changes > 0; changes--) {
        const at = pick(bytes.length);
        const kind = pick(4);
        if (kind === 0) bytes[at] = pick(256);
        else if (kind === 1) bytes[at]! ^= 1 << pick(8);
        else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(4))]);
        else bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([pick(256)]), bytes.subarray(at)]);
      }
      if (bytes.equals(original)) continue;
      let outcome: unknown;
      try {
        readCsr(pem(bytes));
      } catch (error) {
        outcome = error;
      }
      expect(outcome, `seed ${seed}, round ${round}: ${bytes.toString('hex')}`).toBeInstanceOf(CsrError);
    }
  });

  it('reads what the request writer writes, for every set of names', () => {
    const { publicKey, privateKey } = p256();
    const text = pem(encodeCsr({ publicKey, privateKey, names: [der(0x82, Buffer.from('a.example')), der(0x86, Buffer.from('spiffe://td/x'))] }));
    expect(readCsr(text).names.map(({ value }) => value)).toEqual(['a.example', 'spiffe://td/x']);
    expect(splitPem(text, 'CERTIFICATE REQUEST')).toHaveLength(1);
  });
});

/** The same request with the first number of its signature made negative. */
function negative(bytes: Buffer): Buffer {
  const info = bytes.subarray(3, 3 + 2 + bytes[4]!);
  return sequence(info.subarray(0), ecdsa, bitString(sequence(der(tag.integer, Buffer.from([0x80])), integer(Buffer.from([1])))));
}

function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
