import { describe, expect, it } from 'vitest';
import { SpiffeId, SpiffeIdError } from './index.js';

describe('SpiffeId', () => {
  it.each(['spiffe://td', 'spiffe://td/a', 'spiffe://a.b-c_d/ns/x/sa/y', 'spiffe://10.0.0.1/x', 'spiffe://td/...', 'spiffe://td/A.b-c_D/.x', `spiffe://${'a'.repeat(255)}/x`, `spiffe://td/${'a'.repeat(2048 - 12)}`])(
    'accepts %s',
    (text) => expect(SpiffeId.parse(text).toString()).toBe(text),
  );

  it.each([
    '', 'spiffe:', 'spiffe://', 'spiffe:///x', 'SPIFFE://td/x', 'Spiffe://td/x', 'http://td/x', 'spiffe:/td/x', 'spiffe://TD/x', 'spiffe://td/', 'spiffe://td/x/', 'spiffe://td//x',
    'spiffe://td/./x', 'spiffe://td/../x', 'spiffe://td/x/..', 'spiffe://td/%61', 'spiffe://t%64/x', 'spiffe://td/x?q', 'spiffe://td/x#f', 'spiffe://td:80/x', 'spiffe://u@td/x',
    'spiffe://td/é', 'spiffe://té/x', 'spiffe://td/x y', 'spiffe://td/x\n', 'spiffe://td\n/x', 'spiffe://td/x\u0000', 'spiffe://td/x,y', 'spiffe://td/"x"', ' spiffe://td/x', 'spiffe://[::1]/x', 'spiffe://td\\x',
    `spiffe://${'a'.repeat(256)}/x`, `spiffe://td/${'a'.repeat(2048 - 11)}`,
  ])('refuses %j', (text) => expect(() => SpiffeId.parse(text)).toThrow(SpiffeIdError));

  it("takes Istio's form apart and leaves any other alone", () => {
    expect(SpiffeId.parse('spiffe://td/ns/shop/sa/web')).toMatchObject({ trustDomain: 'td', namespace: 'shop', serviceAccount: 'web' });
    for (const path of ['/ns/shop/sa', '/ns/shop/sa/web/x', '/x/ns/shop/sa/web', '/NS/shop/sa/web', '']) {
      expect(SpiffeId.parse(`spiffe://td${path}`)).toMatchObject({ namespace: undefined, serviceAccount: undefined });
    }
  });

  it('is not built from names that would change its shape', () => {
    expect(SpiffeId.forServiceAccount('td', 'shop', 'web').toString()).toBe('spiffe://td/ns/shop/sa/web');
    for (const [td, ns, sa] of [['td/x', 'n', 's'], ['td', 'n/sa/x', 's'], ['td', 'n', 's/x'], ['td', '', 's'], ['td', '..', 's'], ['td', 'n', '']] as const) {
      expect(() => SpiffeId.forServiceAccount(td, ns, sa)).toThrow(SpiffeIdError);
    }
  });
});
