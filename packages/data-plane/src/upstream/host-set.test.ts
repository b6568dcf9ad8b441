import { describe, expect, it } from 'vitest';
import { HostSet, hostKey } from './host-set.js';
import { endpoint, endpoints, locality, noCluster } from './test-support.js';

describe('host set', () => {
  it('keeps a host that stays, with its latest configuration, priority and locality', () => {
    const set = new HostSet(noCluster);
    set.update(endpoints([['a', 'b']]), 0);
    const [a, b] = set.all;
    const { removed, changed } = set.update(endpoints([locality([], { priority: 0 }), locality([endpoint('a', { weight: 7 })], { priority: 1, region: 'r', zone: 'z', subZone: 's' })]), 0);
    expect(set.all).toEqual([a]);
    expect(set.all[0]).toBe(a);
    expect(a).toMatchObject({ priority: 1, locality: 'r/z/s', config: { weight: 7 }, removed: false });
    expect(removed).toEqual([b]);
    expect(b?.removed).toBe(true);
    expect(changed).toEqual([]);
    expect(set.priorities.map(({ hosts }) => hosts.length)).toEqual([0, 1]);
  });

  it('a host that comes back later is a new one', () => {
    const set = new HostSet(noCluster);
    set.update(endpoints([['a']]), 0);
    const [before] = set.all;
    set.update(endpoints([]), 0);
    set.update(endpoints([['a']]), 0);
    expect(set.all[0]).not.toBe(before);
    expect(set.all[0]?.removed).toBe(false);
  });

  it.each([
    [{ spiffeId: 'spiffe://td/ns/a/sa/b' }, true], [{ identityMissing: true }, true], [{ hostname: 'h' }, true], [{ metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } } }, true],
    [{ weight: 2 }, false], [{ health: 'unhealthy' as const }, false], [{ metadata: { other: {} } }, false],
  ])('a change of %j needs new connections: %s', (change, expected) => {
    const set = new HostSet(noCluster);
    set.update(endpoints([['a']]), 0);
    expect(set.update(endpoints([[], locality([endpoint('a', change)])]), 0).changed.length === 1).toBe(expected);
  });

  it('counts an address once', () => {
    const set = new HostSet(noCluster);
    set.update(endpoints([['a', 'a'], ['a', 'b']]), 0);
    expect(set.all.map(({ key }) => key)).toEqual(['a:80', 'b:80']);
    expect(set.priorities[0]?.hosts.length).toBe(2);
  });

  it('names hosts by address', () => {
    expect([hostKey({ address: '10.0.0.1', port: 80 }), hostKey({ address: '::1', port: 80 }), hostKey({ address: '/run/x.sock', port: 0 })]).toEqual(['10.0.0.1:80', '[::1]:80', '/run/x.sock']);
  });
});
