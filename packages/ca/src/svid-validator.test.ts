import { X509Certificate } from 'node:crypto';
import { TestAuthority } from '@weft/spiffe/testing';
import { MemoryStore } from '@weft/store';
import { expect, it } from 'vitest';
import { CertificateAuthority } from './index.js';
import { validateSvid, type Granted } from './svid-validator.js';

const second = (ms: number) => Math.floor(ms / 1000) * 1000;

it('lets a certificate pass that is what was granted, and names the first difference of any other', async () => {
  const ca = await CertificateAuthority.open({ store: new MemoryStore(), trustDomain: 'td' });
  const { leaf } = await ca.issue({ spiffeId: 'spiffe://td/web', dnsNames: ['web.example'] });
  const issuer = ca.authorities.active().certificate;
  const granted: Granted = { spiffeId: 'spiffe://td/web', publicKey: leaf.publicKey, notBefore: leaf.validFromDate.getTime(), notAfter: leaf.validToDate.getTime(), otherNames: ['DNS:web.example'] };
  const check = (change: Partial<Granted>, authority = issuer) => () => validateSvid(leaf.toString(), authority, { ...granted, ...change });
  expect(check({})().fingerprint256).toBe(leaf.fingerprint256);
  expect(check({ spiffeId: 'spiffe://td/admin' })).toThrow(/failed: spiffeId/);
  expect(check({ otherNames: [] })).toThrow(/failed: names/);
  expect(check({ publicKey: issuer.publicKey })).toThrow(/failed: key/);
  expect(check({ notBefore: granted.notBefore - 1000 })).toThrow(/failed: notBefore/);
  expect(check({ notAfter: granted.notAfter + 1000 })).toThrow(/failed: notAfter/);
  const other = await CertificateAuthority.open({ store: new MemoryStore(), trustDomain: 'td' });
  expect(check({}, other.authorities.active().certificate)).toThrow(/failed: issuer/);
});

it('catches leaves that the writer must never make', () => {
  const authority = TestAuthority.create('td');
  const issuer = new X509Certificate(authority.pem);
  const granted = { spiffeId: 'spiffe://td/web', notBefore: second(Date.now()), otherNames: [] };
  const made = (leaf: object, notAfter = second(Date.now()) + 1000) => {
    const certificate = new X509Certificate(authority.issue({ uris: ['spiffe://td/web'], notBefore: granted.notBefore, notAfter, ...leaf }).chainPem);
    return () => validateSvid(certificate.toString(), issuer, { ...granted, publicKey: certificate.publicKey, notAfter });
  };
  expect(made({})).toThrow(/failed: keyUsage/);
  expect(made({ ca: true })).toThrow();
  expect(made({ keyUsage: 0x84 })).toThrow();
  expect(made({ uris: ['spiffe://td/web', 'spiffe://td/web'] })).toThrow();
  expect(made({}, second(issuer.validToDate.getTime()) + 1000)).toThrow(/failed: lifetime/);
});
