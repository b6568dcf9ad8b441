import { describe, expect, it } from 'vitest';
import { hostCandidates } from '../load-balancing/override-hosts.js';
import { HeaderMap } from '../stream/header-map.js';
import { Host } from './host.js';
import { cluster, endpoint, endpoints, locality } from './test-support.js';

const sick = endpoint('sick', { health: 'unhealthy' });
const list = endpoints([locality(['a', 'b', 'c', sick, endpoint('leaving', { health: 'draining' })])]);
const choose = (of: ReturnType<typeof cluster>, more: object) => {
  const chosen = of.choose({ attempt: 0, priority: 'default', ...more });
  return chosen instanceof Host ? chosen.config.address : chosen.flag;
};

describe('a host that a filter asks for', () => {
  const ask = (address: string, strict = false) => ({ overrideHost: { address, strict } });

  it('is taken whatever the policy says', () => {
    const of = cluster({}, list);
    for (let i = 0; i < 3; i++) expect(choose(of, ask('b:80'))).toBe('b');
  });

  it('is not taken where it is gone or not well, and then another, or none where it is strict', () => {
    const of = cluster({}, list);
    expect(['a', 'b', 'c']).toContain(choose(of, ask('gone:80')));
    expect(['a', 'b', 'c']).toContain(choose(of, ask('sick:80')));
    expect(choose(of, ask('gone:80', true))).toBe('UH');
    expect(choose(of, ask('sick:80', true))).toBe('UH');
    expect(choose(of, ask('c:80', true))).toBe('c');
  });

  it('may have the states that the cluster allows', () => {
    expect(choose(cluster({ overrideHostStatus: ['draining'] }, list), ask('leaving:80'))).toBe('leaving');
    expect(choose(cluster({ overrideHostStatus: ['draining'] }, list), ask('a:80', true))).toBe('UH');
    expect(choose(cluster({ overrideHostStatus: [] }, list), ask('b:80', true))).toBe('UH');
  });

  it('that was ejected is not well', () => {
    const of = cluster({}, list);
    of.hosts[1]!.ejected = true;
    expect(choose(of, ask('b:80', true))).toBe('UH');
  });
});

describe('hosts that a request names', () => {
  const head = (value: string) => ({ protocol: 'http' as const, method: 'GET', scheme: 'http' as const, authority: 'x', path: '/', headers: new HeaderMap(['x-to', value]) });
  const sources = [{ kind: 'header' as const, name: 'x-to' }, { kind: 'metadata' as const, key: 'envoy.lb', path: ['to', 'host'] }];
  const info = { metadata: new Map([['envoy.lb', { to: { host: 'c:80' } }]]) } as never;

  it('come one after the other, those the cluster has; then the policy', () => {
    const candidates = hostCandidates(sources, head('gone:80, b:80,sick:80'), info)!;
    const of = cluster({}, list);
    expect([1, 2, 3].map(() => choose(of, { candidates }))).toEqual(['b', 'sick', 'c']);
    expect(['a', 'b', 'c']).toContain(choose(of, { candidates }));
  });

  it('are none where nobody names any', () => {
    expect(hostCandidates(sources, head(' ,'), {} as never)).toBeUndefined();
  });
});
