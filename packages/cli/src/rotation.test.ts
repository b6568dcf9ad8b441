import { CertificateAuthority } from '@weft/ca';
import { MemoryStore } from '@weft/store';
import { describe, expect, it } from 'vitest';
import { rotation } from './rotation.js';

const open = (store = new MemoryStore()) => CertificateAuthority.open({ store, trustDomain: 'td' });
const states = (ca: CertificateAuthority) => ca.authorities.list().map(({ state }) => state);

describe('a rotation', () => {
  it('publishes the new root, waits for the clients, and then activates it', async () => {
    const ca = await open();
    const [first] = ca.bundle();
    let heard = '';
    const late = await rotation(ca, async () => {
      heard = states(ca).join();
      return ['slow'];
    })();
    expect([heard, states(ca).join(), late]).toEqual(['active,prepared', 'active,old', ['slow']]);
    expect(ca.bundle()[1]).toBe(first);
  });

  it('that is asked for during another is the same one', async () => {
    const ca = await open();
    let release: (late: readonly string[]) => void = () => undefined;
    const waiting = new Promise<readonly string[]>((resolve) => (release = resolve));
    const rotate = rotation(ca, () => waiting);
    const both = Promise.all([rotate(), rotate()]);
    release([]);
    await both;
    expect(states(ca)).toEqual(['active', 'old']);
    await rotate();
    expect(states(ca)).toEqual(['active', 'old', 'old']);
  });

  it('activates the root that a killed one left prepared', async () => {
    const store = new MemoryStore();
    const before = await open(store);
    const { id } = await before.authorities.prepare();
    const ca = await open(store);
    await rotation(ca, async () => [])();
    expect(ca.authorities.active().id).toBe(id);
    expect(states(ca)).toEqual(['active', 'old']);
  });
});
