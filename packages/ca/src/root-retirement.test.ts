import { createCsr } from '@weft/spiffe';
import { FakeClock } from '@weft/spiffe/testing';
import { MemoryStore } from '@weft/store';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CertificateAuthority, RootRetirement } from './index.js';

const until = (condition: () => void) => vi.waitFor(condition, { timeout: 15_000 });
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function setup(store = new MemoryStore(), clock = new FakeClock(Math.floor(Date.now() / 1000) * 1000)) {
  const ca = await CertificateAuthority.open({ store, trustDomain: 'td', clock });
  const retirement = new RootRetirement(ca);
  cleanups.push(() => retirement.close());
  const issue = async (ttlSeconds: number) => ca.sign({ csrPem: (await createCsr()).csrPem, spiffeId: 'spiffe://td/ns/shop/sa/web', ttlSeconds });
  const rotate = async () => {
    await ca.authorities.prepare();
    await ca.authorities.activate();
    // The retirement reads the store before it sets its timer.
    await until(() => expect(clock.pending).toBeGreaterThan(0));
  };
  return { ca, clock, store, retirement, issue, rotate };
}

/** Long enough for a removal that were wrongly under way. */
const turns = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
};

describe('an old root', () => {
  it('is believed until the longest lifetime that it granted has passed, whoever asked for less since', async () => {
    const { ca, clock, store, issue, rotate } = await setup();
    await Promise.all([issue(60), issue(600), issue(30)]);
    await issue(10);
    await rotate();
    await issue(5000);
    clock.advance(659_000);
    await turns();
    expect(ca.bundle()).toHaveLength(2);
    clock.advance(2000);
    await until(() => expect(ca.bundle()).toHaveLength(1));
    await until(async () => expect((await store.list('ca/keys/')).entries).toHaveLength(1));
    await until(async () => expect((await store.list('ca/longest-lifetime/')).entries).toHaveLength(1));
  });

  it('is believed for as long as any certificate may last where it is not known what it granted', async () => {
    const { ca, clock, rotate } = await setup();
    await rotate();
    clock.advance(86_400_000 + 59_000);
    await turns();
    expect(ca.bundle()).toHaveLength(2);
    clock.advance(2000);
    await until(() => expect(ca.bundle()).toHaveLength(1));
  });

  it('of many rotations goes each in its own time', async () => {
    const { ca, clock, issue, rotate } = await setup();
    for (let round = 0; round < 4; round++) {
      await issue(100);
      await rotate();
      clock.advance(30_000);
      await turns();
    }
    expect(ca.bundle()).toHaveLength(5);
    for (const left of [4, 3, 2, 1]) {
      clock.advance(left === 4 ? 41_000 : 30_000);
      await until(() => expect(ca.bundle()).toHaveLength(left));
    }
  });

  it('goes after a restart, also where that comes late', async () => {
    const { clock, store, retirement, issue, rotate } = await setup();
    await issue(100);
    await rotate();
    await retirement.close();
    clock.advance(1_000_000);
    const again = await setup(store, clock);
    await until(() => expect(again.ca.bundle()).toHaveLength(1));
  });

  it('that cannot be removed is tried again', async () => {
    const { ca, clock, store, issue, rotate } = await setup();
    await issue(100);
    await rotate();
    const put = vi.spyOn(store, 'put').mockRejectedValueOnce(new Error('disk full'));
    clock.advance(161_000);
    await until(() => expect(put).toHaveBeenCalled());
    await until(() => expect(clock.pending).toBe(1));
    expect(ca.bundle()).toHaveLength(2);
    clock.advance(60_000);
    await until(() => expect(ca.bundle()).toHaveLength(1));
  });
});
