import { describe, expect, it } from 'vitest';
import { Host } from '../upstream/host.js';
import { cluster, endpoint, endpoints, locality } from '../upstream/test-support.js';
import { legacyLoadBalancing } from './builtin.js';
import { mersenneTwister } from './mersenne-twister.js';
import { murmurHash2 } from './policy/murmur-hash-2.js';

describe('bounded load', () => {
  const of = (factor?: number) => cluster({ loadBalancing: legacyLoadBalancing('MAGLEV', { tableSize: 251, ...(factor !== undefined && { hashBalanceFactor: factor }) }) }, endpoints([['a', 'b', 'c', 'd']]));
  const pick = (from: ReturnType<typeof of>, hash = 7n) => from.choose({ attempt: 0, priority: 'default', hash }) as Host;

  it('passes over a host that has more than its share, always to the same other one', () => {
    const from = of(150);
    const first = pick(from);
    const load = () => from.hosts.map(({ activeRequests }) => activeRequests);
    // With three running a quarter of 1.5 · (3 + 1) are 2 places: the third is one too many.
    for (let i = 0; i < 3; i++) from.begin(first, 'default');
    const second = pick(from);
    expect(second).not.toBe(first);
    expect(pick(from)).toBe(second);
    expect(load().reduce((sum, n) => sum + n)).toBe(3);
    from.end(first, 'default', { durationMs: 1 });
    expect(pick(from)).toBe(first);
  });

  it('keeps keys on their host whatever its load without a factor', () => {
    const from = of();
    const first = pick(from);
    for (let i = 0; i < 50; i++) from.begin(first, 'default');
    expect(pick(from)).toBe(first);
  });

  it('takes the least loaded by share where all have more than theirs', () => {
    const from = cluster({ loadBalancing: legacyLoadBalancing('RING_HASH', { hashBalanceFactor: 100 }) }, endpoints([locality([endpoint('a', { weight: 8 }), endpoint('b')])]));
    const [a, b] = from.hosts as [Host, Host];
    for (let i = 0; i < 30; i++) from.begin(a, 'default');
    a.activeRequests = 400;
    b.activeRequests = 60;
    expect(pick(from)).toBe(a);
  });
});

it('the generator gives the numbers of MT19937', () => {
  const next = mersenneTwister(5489);
  expect([next(), next(), next()]).toEqual([3499211612, 581869302, 3890346734]);
  for (let i = 3; i < 9999; i++) next();
  // What the C++ standard gives for its ten-thousandth.
  expect(next()).toBe(4123659995);
});

it('MurmurHash2 gives the numbers of libstdc++', () => {
  // Computed by another implementation; Envoy's own are compared in test/interop.
  expect(['', 'a', 'abcdefgh', '127.0.0.1:80_0'].map(murmurHash2)).toEqual([6142509188972423790n, 4993892634952068459n, 8664279048047335611n, 17613279263364193813n]);
});
