import { createCsr } from '@weft/spiffe';
import { FakeClock } from '@weft/spiffe/testing';
import { MemoryStore, SqliteStore, type Store } from '@weft/store';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { AttestationRefused, CertificateAuthority, JoinTokens, StoreAuditSink, SvidRenewal } from '../index.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function setup(store: Store = new MemoryStore()) {
  const clock = new FakeClock(Math.floor(Date.now() / 1000) * 1000);
  const ca = await CertificateAuthority.open({ store, trustDomain: 'td', clock });
  return { ca, clock, store, tokens: new JoinTokens(ca, store) };
}
const request = { workload: 'shop/web', identity: 'shop/web-account' };
const same = 'the join token is unknown, expired or used up';

describe('a join token', () => {
  it('gives its identity once', async () => {
    const { tokens } = await setup();
    const bearer = await tokens.create(request);
    expect(await tokens.attest({ bearer })).toEqual({ spiffeId: 'spiffe://td/ns/shop/sa/web-account' });
    await expect(tokens.attest({ bearer })).rejects.toThrow(same);
  });

  it('gives it as often as it may, and one of many at the same time wins each use', async () => {
    const path = mkdtempSync(join(tmpdir(), 'weft-token-'));
    cleanups.push(() => rmSync(path, { recursive: true }));
    for (const store of [new MemoryStore(), new SqliteStore(join(path, 'store.db'))]) {
      cleanups.push(() => store.close());
      const { tokens } = await setup(store);
      for (const uses of [1, 3]) {
        const bearer = await tokens.create({ ...request, uses });
        const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => tokens.attest({ bearer })));
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(uses);
        for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ name: 'AttestationRefused', message: same });
      }
    }
  });

  it('ends after its time, to the millisecond', async () => {
    const { tokens, clock } = await setup();
    const [early, late] = [await tokens.create(request), await tokens.create(request)];
    clock.advance(599_999);
    await tokens.attest({ bearer: early });
    clock.advance(1);
    await expect(tokens.attest({ bearer: late })).rejects.toThrow(same);
  });

  it('is refused in the same words when it is unknown or damaged', async () => {
    const { tokens } = await setup();
    const bearer = await tokens.create(request);
    const [version, secret, root] = bearer.split('.') as [string, string, string];
    const flipped = secret.startsWith('A') ? `B${secret.slice(1)}` : `A${secret.slice(1)}`;
    for (const wrong of [`${version}.${flipped}.${root}`, `${version}.${secret}`, `${version}.${secret}.${root}x`, 'weft1.', `${version}.../x.${root}`]) {
      await expect(tokens.attest({ bearer: wrong }), wrong).rejects.toThrow(new AttestationRefused(same));
    }
  });

  it('leaves other proofs to other attestors', async () => {
    const { tokens } = await setup();
    expect(await tokens.attest({})).toBeUndefined();
    expect(await tokens.attest({ bearer: 'eyJhbGciOi.x.y' })).toBeUndefined();
  });

  it('is nowhere in the store, nor in the audit log', async () => {
    const { tokens, store } = await setup();
    const bearer = await tokens.create(request);
    const secret = bearer.split('.')[1]!;
    await tokens.attest({ bearer });
    await tokens.create(request);
    const { entries } = await store.list('');
    for (const { key, value } of entries) expect(key + Buffer.from(value).toString()).not.toContain(secret);
    expect((await new StoreAuditSink(store).lines()).map((line) => (JSON.parse(line) as { event: string }).event)).toEqual(['authority-create', 'token-create', 'token-consume', 'token-create']);
  });

  it('is cleared away when it has expired', async () => {
    const { tokens, store, clock } = await setup();
    await tokens.create(request);
    clock.advance(600_000);
    await tokens.create(request);
    expect((await store.list('ca/tokens/')).entries).toHaveLength(1);
  });

  it.each([
    [{ workload: 'web' }, /^workload: /],
    [{ workload: 'shop/web/x' }, /^workload: /],
    [{ identity: 'shop' }, /^identity: /],
    [{ identity: 'shop/../admin' }, /^identity: /],
    [{ identity: 'shop/x%2f' }, /^identity: /],
    [{ identity: 'istio-system/weft-control-plane' }, /control plane's own/],
    [{ ttlSeconds: 0 }, /^ttlSeconds: /],
    [{ ttlSeconds: 86_401 }, /^ttlSeconds: /],
    [{ uses: 0 }, /^uses: /],
    [{ uses: 1.5 }, /^uses: /],
  ])('is not made for %j', async (change, reason) => {
    const { tokens } = await setup();
    await expect(tokens.create({ ...request, ...change })).rejects.toThrow(reason);
  });
});

describe('renewal by SVID', () => {
  it('gives the same identity again, while certificate and root hold', async () => {
    const { ca, clock } = await setup();
    const renewal = new SvidRenewal(ca);
    const spiffeId = 'spiffe://td/ns/shop/sa/web';
    const { chain } = await ca.sign({ csrPem: (await createCsr()).csrPem, spiffeId });
    const peer = { spiffeId, certificatePem: chain[0]! };
    expect(await renewal.attest({})).toBeUndefined();
    expect(await renewal.attest({ peer })).toEqual({ spiffeId });
    await expect(renewal.attest({ peer: { ...peer, spiffeId: 'spiffe://td/ns/shop/sa/admin' } })).rejects.toThrow(AttestationRefused);
    const { ca: foreign } = await setup();
    await expect(new SvidRenewal(foreign).attest({ peer })).rejects.toThrow(AttestationRefused);
    await ca.authorities.prepare();
    await ca.authorities.activate();
    expect(await renewal.attest({ peer })).toEqual({ spiffeId });
    await ca.authorities.removeOld();
    await expect(renewal.attest({ peer })).rejects.toThrow(AttestationRefused);
    const fresh = (await ca.sign({ csrPem: (await createCsr()).csrPem, spiffeId })).chain[0]!;
    clock.advance(3_600_000);
    await expect(renewal.attest({ peer: { spiffeId, certificatePem: fresh } })).rejects.toThrow(AttestationRefused);
  });
});
