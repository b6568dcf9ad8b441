import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCsr, silentLogger, TrustBundle, verifyChain } from '@weft/spiffe';
import { FakeClock } from '@weft/spiffe/testing';
import { MemoryStore, SqliteStore } from '@weft/store';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CertificateAuthority, MemoryKeyManager, NamesRefused, storedTrustDomain, StoreAuditSink, TtlError } from './index.js';

const web = 'spiffe://td/ns/shop/sa/web';
// The machine may be busy: only the condition decides.
const until = (condition: () => void) => vi.waitFor(condition, { timeout: 15_000 });
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function setup(options: Partial<Parameters<typeof CertificateAuthority.open>[0]> = {}) {
  const clock = new FakeClock(Math.floor(Date.now() / 1000) * 1000);
  const store = new MemoryStore({ clock });
  const ca = await CertificateAuthority.open({ store, trustDomain: 'td', clock, ...options });
  return { ca, clock, store };
}
const csr = async () => (await createCsr({ uri: web })).csrPem;
const folder = () => {
  const path = mkdtempSync(join(tmpdir(), 'weft-ca-'));
  cleanups.push(() => rmSync(path, { recursive: true }));
  return path;
};
const openssl = (() => {
  try {
    return execFileSync('openssl', ['version']).toString().startsWith('OpenSSL');
  } catch {
    return false;
  }
})();

describe('an issued SVID', () => {
  it('has the granted name and the profile of X509-SVID', async () => {
    const { ca, clock } = await setup();
    const { chain, notAfter } = await ca.sign({ csrPem: await csr(), spiffeId: web });
    const leaf = new X509Certificate(chain[0]!);
    expect(leaf).toMatchObject({ ca: false, subjectAltName: `URI:${web}`, keyUsage: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'] });
    expect(leaf.validFromDate.getTime()).toBe(clock.now() - 60_000);
    expect([leaf.validToDate.getTime(), notAfter]).toEqual([clock.now() + 3_600_000, clock.now() + 3_600_000]);
    expect(verifyChain([leaf], TrustBundle.parse('td', ca.bundle()), clock.now()).toString()).toBe(web);
  });

  it.skipIf(!openssl)("passes OpenSSL's strict verification, for both purposes", async () => {
    const { ca } = await setup();
    const { chain } = await ca.sign({ csrPem: await csr(), spiffeId: web });
    const own = await ca.issue({ spiffeId: 'spiffe://td/cp', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1', '::1', '2001:db8::a:0:1'] });
    const path = folder();
    writeFileSync(join(path, 'root.pem'), ca.bundle().join(''));
    for (const [name, pem] of [['leaf.pem', chain[0]!], ['own.pem', own.chainPem]] as const) {
      writeFileSync(join(path, name), pem);
      for (const purpose of ['sslserver', 'sslclient']) {
        const verdict = execFileSync('openssl', ['verify', '-x509_strict', '-check_ss_sig', '-purpose', purpose, '-CAfile', join(path, 'root.pem'), join(path, name)]).toString();
        expect(verdict).toContain(': OK');
      }
    }
    const text = execFileSync('openssl', ['x509', '-noout', '-text', '-in', join(path, 'leaf.pem')]).toString();
    for (const line of ['Subject Alternative Name: critical', 'Key Usage: critical\n                Digital Signature\n', 'CA:FALSE', 'ASN1 OID: prime256v1', 'Subject: \n']) expect(text).toContain(line);
    const names = execFileSync('openssl', ['x509', '-noout', '-ext', 'subjectAltName', '-in', join(path, 'own.pem')]).toString();
    expect(names).toContain('URI:spiffe://td/cp, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8:0:0:0:A:0:1');
  });

  it('never outlives its issuer', async () => {
    const { ca, clock } = await setup({ rootTtlSeconds: 1000 });
    expect((await ca.sign({ csrPem: await csr(), spiffeId: web })).notAfter).toBe(clock.now() + 1_000_000);
    clock.advance(1_000_000);
    await expect(ca.sign({ csrPem: await csr(), spiffeId: web })).rejects.toThrow(/active authority has expired/);
  });

  it.each([0, -1, 9, 86_401, 1e12, 10.5, NaN, Infinity])('is refused for a lifetime of %f seconds', async (ttlSeconds) => {
    const { ca } = await setup();
    await expect(ca.sign({ csrPem: await csr(), spiffeId: web, ttlSeconds })).rejects.toThrow(TtlError);
    await expect(setup({ svidTtlSeconds: ttlSeconds })).rejects.toThrow(TtlError);
  });

  it('is refused where the CSR names somebody else, and for identities that are not workloads of the trust domain', async () => {
    const { ca } = await setup();
    const other = (await createCsr({ uri: 'spiffe://td/ns/shop/sa/admin' })).csrPem;
    await expect(ca.sign({ csrPem: other, spiffeId: web })).rejects.toThrow(NamesRefused);
    const { csrPem } = await createCsr();
    for (const spiffeId of ['spiffe://td', 'spiffe://other/x', 'spiffe://td/x/', 'https://td/x', 'spiffe://td/x, URI:spiffe://td/y']) {
      await expect(ca.sign({ csrPem, spiffeId }), spiffeId).rejects.toThrow();
    }
    await expect(ca.issue({ spiffeId: web, dnsNames: ['a, URI:spiffe://td/y'] })).rejects.toThrow(/not a host name/);
    await expect(ca.issue({ spiffeId: web, ipAddresses: ['1.2.3'] })).rejects.toThrow(/not an IP address/);
  });

  it('has a serial number of its own', async () => {
    const { ca } = await setup();
    const csrPem = await csr();
    const serials = await Promise.all(Array.from({ length: 300 }, async () => new X509Certificate((await ca.sign({ csrPem, spiffeId: web })).chain[0]!).serialNumber));
    expect(new Set(serials).size).toBe(300);
    for (const serial of serials) expect(BigInt(`0x${serial}`) < 2n ** 127n).toBe(true);
  });
});

describe('authorities', () => {
  it('survive a restart with key and state, and belong to one trust domain', async () => {
    const path = join(folder(), 'ca.db');
    const first = new SqliteStore(path);
    expect(await storedTrustDomain(first)).toBeUndefined();
    const before = await CertificateAuthority.open({ store: first, trustDomain: 'td' });
    await before.authorities.prepare();
    const bundle = before.bundle();
    await first.close();
    const second = new SqliteStore(path);
    cleanups.push(() => second.close());
    const after = await CertificateAuthority.open({ store: second, trustDomain: 'td' });
    expect(await storedTrustDomain(second)).toBe('td');
    expect(after.bundle()).toEqual(bundle);
    const { chain } = await after.sign({ csrPem: await csr(), spiffeId: web });
    expect(new X509Certificate(chain[0]!).verify(new X509Certificate(bundle[0]!).publicKey)).toBe(true);
    await expect(CertificateAuthority.open({ store: second, trustDomain: 'other' })).rejects.toThrow(/belongs to the trust domain td, not other/);
  });

  it('are rotated in three steps, each root with a key of its own', async () => {
    const { ca, store, clock } = await setup();
    const changes: number[] = [];
    ca.onBundleChange((bundle) => changes.push(bundle.length));
    const [old] = ca.bundle();
    await expect(ca.authorities.activate()).rejects.toThrow(/prepare one first/);
    const prepared = await ca.authorities.prepare();
    clock.advance(5000);
    expect(ca.bundle()).toEqual([old, prepared.certificatePem]);
    await expect(ca.authorities.prepare()).rejects.toThrow(/prepared already/);
    await ca.authorities.activate();
    expect(ca.bundle()).toEqual([prepared.certificatePem, old]);
    expect(ca.authorities.list().map(({ state, since }) => [state, since])).toEqual([['active', clock.now()], ['old', clock.now()]]);
    const { chain } = await ca.sign({ csrPem: await csr(), spiffeId: web });
    expect(new X509Certificate(chain[0]!).checkIssued(prepared.certificate)).toBe(true);
    await ca.authorities.removeOld();
    expect(ca.bundle()).toEqual([prepared.certificatePem]);
    expect((await store.list('ca/keys/')).entries).toHaveLength(1);
    expect(changes).toEqual([2, 2, 1]);
    expect(prepared.certificate.publicKey.equals(new X509Certificate(old!).publicKey)).toBe(false);
  });

  it('sign every certificate with a root that was published before', async () => {
    const { ca } = await setup();
    const csrPem = await csr();
    const issued: Promise<boolean>[] = [];
    const issue = async () => {
      const published = TrustBundle.parse('td', ca.bundle());
      const { chain } = await ca.sign({ csrPem, spiffeId: web });
      return verifyChain([new X509Certificate(chain[0]!)], published, ca.clock.now()).toString() === web;
    };
    const burst = () => issued.push(...Array.from({ length: 60 }, issue));
    burst();
    const preparing = ca.authorities.prepare();
    burst();
    await preparing;
    burst();
    const activating = ca.authorities.activate();
    burst();
    await activating;
    burst();
    expect((await Promise.all(issued)).every(Boolean)).toBe(true);
  });

  it('are founded once by many who open the same store', async () => {
    const store = new MemoryStore();
    const all = await Promise.all(Array.from({ length: 10 }, () => CertificateAuthority.open({ store, trustDomain: 'td' })));
    expect(new Set(all.map((ca) => ca.bundle().join())).size).toBe(1);
    expect((await store.list('ca/keys/')).entries).toHaveLength(1);
  });

  it('warn in time before they end', async () => {
    const { store, clock } = await setup({ rootTtlSeconds: 1000 });
    const warn = vi.fn();
    const reopen = () => CertificateAuthority.open({ store, trustDomain: 'td', clock, logger: { ...silentLogger, warn } });
    clock.advance(700_000);
    await reopen();
    expect(warn).toHaveBeenCalledTimes(0);
    clock.advance(100_000);
    await reopen();
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('can keep their keys elsewhere', async () => {
    const { ca, store } = await setup({ keys: new MemoryKeyManager() });
    await ca.sign({ csrPem: await csr(), spiffeId: web });
    expect((await store.list('ca/keys/')).entries).toEqual([]);
  });
});

describe("the control plane's own identity", () => {
  it('renews itself, and shows the oldest root that is believed: who was away during a rotation knows no other', async () => {
    const { ca, clock } = await setup();
    const source = ca.svidSource({ spiffeId: 'spiffe://td/cp', ttlSeconds: 600 });
    cleanups.push(() => source.close());
    const first = await source.ready();
    expect(first.svid.certificates).toHaveLength(2);
    clock.advance(331_000);
    await until(() => expect(source.current()!.svid.notAfter).toBeGreaterThan(first.svid.notAfter));
    await ca.authorities.prepare();
    expect(source.current()!.bundles.get('td')!.authorities).toHaveLength(2);
    const [old] = ca.bundle();
    await ca.authorities.activate();
    clock.advance(0);
    expect(source.current()!.svid.leaf.checkIssued(new X509Certificate(old!))).toBe(true);
    const { certificate } = ca.authorities.active();
    ca.onBundleChange(() => expect(source.current()!.svid.leaf.checkIssued(certificate)).toBe(true));
    await ca.authorities.removeOld();
    expect(source.current()!.svid.leaf.checkIssued(certificate)).toBe(true);
    expect(source.current()!.bundles.get('td')!.authorities).toHaveLength(1);
  });
});

describe('the audit log', () => {
  it('has a line for each decision, chained, without secrets, over restarts', async () => {
    const { ca, store, clock } = await setup();
    await ca.sign({ csrPem: await csr(), spiffeId: web, attestor: 'test' });
    const again = await CertificateAuthority.open({ store, trustDomain: 'td', clock });
    await again.issue({ spiffeId: 'spiffe://td/cp' });
    const lines = await new StoreAuditSink(store).lines();
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ event, sequence }) => [sequence, event])).toEqual([[1, 'authority-create'], [2, 'issue'], [3, 'issue']]);
    expect(events[1]).toMatchObject({ spiffeId: web, attestor: 'test', serial: expect.any(String) });
    for (const [index, line] of lines.slice(0, -1).entries()) expect(events[index + 1]!['previous']).toBe(createHash('sha256').update(line).digest('hex'));
    expect(lines.join()).not.toMatch(/PRIVATE KEY/);
  });

  it('keeps the newest lines only, and no certificate leaves without its line', async () => {
    const store = new MemoryStore();
    const sink = new StoreAuditSink(store, { limit: 5 });
    const ca = await CertificateAuthority.open({ store, trustDomain: 'td', audit: sink });
    for (let round = 0; round < 9; round++) await ca.issue({ spiffeId: web });
    expect((await sink.lines()).map((line) => (JSON.parse(line) as { sequence: number }).sequence)).toEqual([6, 7, 8, 9, 10]);
    vi.spyOn(sink, 'append').mockRejectedValue(new Error('disk full'));
    await expect(ca.issue({ spiffeId: web })).rejects.toThrow('disk full');
  });
});
