import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { identityIn, PeerVerificationError, splitPem, TrustBundle, verifyChain } from './index.js';
import { TestAuthority } from './testing.js';

const root = TestAuthority.create('td', 'the root');
const now = Date.now();
const chain = (...pems: string[]) => pems.flatMap((pem) => splitPem(pem, 'CERTIFICATE')).map((pem) => new X509Certificate(pem));
const verify = (certificates: X509Certificate[], at = now) => () => verifyChain(certificates, root.bundle, at).toString();

describe('verifyChain', () => {
  const uris = ['spiffe://td/web'];
  it('accepts what the root issued, directly and through intermediates in any order', () => {
    const deep = root.intermediate().intermediate();
    const [leaf, ...between] = chain(deep.issue({ uris }).chainPem);
    expect(verify(chain(root.issue({ uris }).chainPem))()).toBe('spiffe://td/web');
    expect(verify([leaf!, ...between])()).toBe('spiffe://td/web');
    expect(verify([leaf!, ...between.reverse()])()).toBe('spiffe://td/web');
    expect(verify([leaf!, ...between, ...chain(root.pem)])()).toBe('spiffe://td/web');
  });

  it.each<[string, () => X509Certificate[], number?]>([
    ['no certificate', () => []],
    ['another root of the same name', () => chain(TestAuthority.create('td').issue({ uris }).chainPem)],
    ['a chain with its intermediate missing', () => chain(root.intermediate().issue({ uris }).chainPem).slice(0, 1)],
    ['a foreign root in the chain', () => { const foreign = TestAuthority.create('td'); return chain(foreign.issue({ uris }).chainPem, foreign.pem); }],
    ['a foreign trust domain', () => chain(root.issue({ uris: ['spiffe://other/web'] }).chainPem)],
    ['an authority as leaf', () => chain(root.issue({ uris, ca: true }).chainPem)],
    ['an authority without the right to sign as leaf', () => chain(root.issue({ uris, ca: true, keyUsage: 0x80 }).chainPem)],
    ['a leaf that is allowed to sign', () => chain(root.issue({ uris, keyUsage: 0x84 }).chainPem)],
    ['a workload as intermediate', () => chain(root.intermediate({ ca: false, keyUsage: 0x04, uris: ['spiffe://td/x'] }).issue({ uris }).chainPem)],
    ['a root of the same name with another key', () => chain(TestAuthority.create('td', 'the root').issue({ uris }).chainPem)],
    ['an expired leaf', () => chain(root.issue({ uris, notAfter: now - 1000 }).chainPem)],
    ['a leaf of the future', () => chain(root.issue({ uris, notBefore: now + 5000 }).chainPem)],
    ['an expired intermediate', () => chain(root.intermediate().issue({ uris, notAfter: now + 80_000_000 }).chainPem), now + 43_300_000],
    ['an expired root', () => chain(root.issue({ uris, notAfter: now + 100_000_000 }).chainPem), now + 86_500_000],
  ])('refuses %s', (_name, certificates, at) => {
    expect(verify(certificates(), at)).toThrow(PeerVerificationError);
  });
});

it('a trust bundle holds authorities only, at least one, each once', () => {
  const other = TestAuthority.create('td');
  expect(TrustBundle.parse('td', [root.pem, other.pem + root.pem]).authorities).toHaveLength(2);
  for (const bad of ['', [], 'text', root.svid('/web').chainPem, '-----BEGIN CERTIFICATE-----\nAAAA']) expect(() => TrustBundle.parse('td', bad), String(bad)).toThrow();
  expect(() => TrustBundle.parse('TD', root.pem)).toThrow();
  expect([root.bundle.equals(root.bundle), root.bundle.equals(other.bundle), root.bundle.equals(undefined)]).toEqual([true, false, false]);
});

it('an identity of another shape than Istio has no namespace', () => {
  expect(identityIn(root.svid('/web').leaf)).toEqual({ spiffeId: 'spiffe://td/web', trustDomain: 'td' });
  expect(identityIn(root.svid('/ns/a/sa/b').leaf)).toEqual({ spiffeId: 'spiffe://td/ns/a/sa/b', trustDomain: 'td', namespace: 'a', serviceAccount: 'b' });
});
