import { FakeClock } from '@weft/spiffe/testing';
import { describe, expect, it, vi } from 'vitest';
import type { ClusterConfig, DnsConfig, EndpointsConfig } from '../../resource/cluster-config.js';
import type { EndpointPolicy } from '../../resource/endpoint-policy.js';
import type { Resolution } from '../dns/resolver.js';
import { clusterConfig, endpoint, endpoints, FakeXds, locality, resourceType, silent } from '../test-support.js';
import { builtinClusterTypes } from './builtin.js';

function start(type: ClusterConfig['type'], resolve: (name: string, family: 4 | 6, withTtl: boolean) => Promise<readonly string[] | Resolution> = () => Promise.reject(new Error('not asked for')), policy: EndpointPolicy = () => undefined) {
  const clock = new FakeClock(0);
  const xds = new FakeXds();
  const seen: EndpointsConfig[] = [];
  const errors: Error[] = [];
  const config = clusterConfig({ type });
  const source = builtinClusterTypes.find(({ kinds }) => kinds.includes(type.kind))?.start(
    config,
    { onEndpoints: (state) => seen.push(state), onError: (error) => errors.push(error) },
    { xds, endpointType: resourceType('endpoints'), clock, logger: silent, random: () => 0.5, policy, dnsCaches: undefined, lookup: async (...asked) => { const found = await resolve(...asked); return 'addresses' in found ? found : { addresses: found }; } },
  );
  const addresses = () => seen.at(-1)?.localities.flatMap((item) => item.endpoints.map(({ address, port }) => `${address}:${port}`));
  return { clock, xds, seen, errors, source, addresses };
}

describe('eds', () => {
  it('follows the resource of its service name, else its own', () => {
    const { xds, addresses, source } = start({ kind: 'eds', serviceName: 's' });
    xds.send('endpoints/s', endpoints([['a']]));
    expect(addresses()).toEqual(['a:80']);
    source?.close();
    expect(xds.watchers.size).toBe(0);
    expect([...start({ kind: 'eds', serviceName: '' }).xds.watchers.keys()]).toEqual(['endpoints/c']);
  });

  it('has no hosts where the resource does not exist, and tells errors apart', () => {
    const { xds, errors, seen } = start({ kind: 'eds', serviceName: 's' });
    xds.watcher('endpoints/s').onError(new Error('no connection'));
    expect([seen.length, errors[0]?.message]).toEqual([0, 'no connection']);
    xds.watcher('endpoints/s').onAbsent(new Error('gone'));
    expect(seen).toEqual([expect.objectContaining({ localities: [] })]);
  });
});

describe('static', () => {
  it('has its endpoints at once', () => {
    expect(start({ kind: 'static', assignment: endpoints([['10.0.0.1']]) }).addresses()).toEqual(['10.0.0.1:80']);
  });
});

describe('strict and logical DNS', () => {
  const dns = (kind: 'strict-dns' | 'logical-dns', ...names: string[]): ClusterConfig['type'] => ({ kind, assignment: endpoints([locality(names.map((name) => endpoint(name)))]), dns: { family: 'v4-only', respectTtl: false, refreshMs: 5000 } });

  it('every address of every name is a host that knows its name', async () => {
    const { addresses, seen } = start(dns('strict-dns', 'a.test', 'b.test', '10.0.0.9'), (name) => Promise.resolve(name === 'a.test' ? ['10.0.0.2', '10.0.0.1'] : ['::1']));
    await vi.waitFor(() => expect(addresses()).toEqual(['10.0.0.1:80', '10.0.0.2:80', '::1:80', '10.0.0.9:80']));
    expect(seen[0]?.localities[0]?.endpoints.map(({ hostname }) => hostname)).toEqual(['a.test', 'a.test', 'b.test', '']);
  });

  it('the first address of a logical name, the others for when it does not answer', async () => {
    const { addresses, seen } = start(dns('logical-dns', 'a.test'), () => Promise.resolve(['10.0.0.2', '10.0.0.1']));
    await vi.waitFor(() => expect(addresses()).toEqual(['10.0.0.2:80']));
    expect(seen.at(-1)?.localities[0]?.endpoints[0]?.additionalAddresses).toEqual([{ address: '10.0.0.1', port: 80 }]);
  });

  const withDns = (config: Partial<DnsConfig>, ...names: string[]): ClusterConfig['type'] => ({ kind: 'strict-dns', assignment: endpoints([locality(names.map((name) => endpoint(name)))]), dns: { family: 'v4-only', respectTtl: false, refreshMs: 5000, ...config } });

  it.each([
    ['v4-only', ['10.0.0.1:80']], ['v6-only', ['::1:80']], ['v4-preferred', ['10.0.0.1:80']], ['auto', ['::1:80']], ['all', ['10.0.0.1:80', '::1:80']],
  ] as const)('family %s of a name that has both', async (family, expected) => {
    const { addresses } = start(withDns({ family }, 'a.test'), (_name, version) => Promise.resolve(version === 4 ? ['10.0.0.1'] : ['::1']));
    await vi.waitFor(() => expect(addresses()).toEqual(expected));
  });

  it.each([['v4-preferred', 6, '::1:80'], ['auto', 4, '10.0.0.1:80'], ['all', 4, '10.0.0.1:80']] as const)('family %s of a name that has only IPv%i', async (family, only, expected) => {
    const { addresses } = start(withDns({ family }, 'a.test'), (_name, version) => (version === only ? Promise.resolve([only === 4 ? '10.0.0.1' : '::1']) : Promise.reject(new Error('ENOTFOUND'))));
    await vi.waitFor(() => expect(addresses()).toEqual([expected]));
  });

  it('several endpoints in several localities keep their places', async () => {
    const type: ClusterConfig['type'] = { kind: 'strict-dns', dns: { family: 'v4-only', respectTtl: false, refreshMs: 5000 }, assignment: endpoints([locality([endpoint('a.test', { port: 1 }), endpoint('a.test', { port: 2 })], { zone: 'x' }), locality([endpoint('b.test')], { zone: 'y', priority: 1 })]) };
    const { seen } = start(type, (name) => Promise.resolve([name === 'a.test' ? '10.0.0.1' : '10.0.0.2']));
    await vi.waitFor(() => expect(seen.at(-1)?.localities.map(({ zone, priority, endpoints: list }) => [zone, priority, list.map(({ address, port }) => `${address}:${port}`)])).toEqual([['x', 0, ['10.0.0.1:1', '10.0.0.1:2']], ['y', 1, ['10.0.0.2:80']]]));
  });

  it('times to live count where that is asked for', async () => {
    const asked: boolean[] = [];
    const { clock } = start(withDns({ respectTtl: true }, 'a.test'), (_name, _version, withTtl) => {
      asked.push(withTtl);
      return Promise.resolve({ addresses: ['10.0.0.1'], ttlMs: 30_000 });
    });
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    clock.advance(29_999);
    expect(asked).toEqual([true]);
    clock.advance(1);
    await vi.waitFor(() => expect(asked.length).toBe(2));
  });

  it('names that fail are asked for at a rate of their own, ever less often', async () => {
    let asked = 0;
    const { clock } = start(withDns({ failureRefresh: { baseMs: 1000, maxMs: 3000 } }, 'a.test'), () => {
      asked++;
      return Promise.reject(new Error('SERVFAIL'));
    });
    // Half of 1, 2, 3 and 3 seconds: the random number of the test.
    for (const wait of [500, 1000, 1500, 1500]) {
      await vi.waitFor(() => expect(clock.pending).toBe(1));
      const before = asked;
      clock.advance(wait - 1);
      expect(asked).toBe(before);
      clock.advance(1);
      expect(asked).toBe(before + 1);
    }
  });

  it('addresses that the policy refuses are left out', async () => {
    const { addresses } = start(withDns({}, 'a.test'), () => Promise.resolve(['169.254.169.254', '10.0.0.1']), (address) => (address.startsWith('169.254.') ? 'must not be link-local' : undefined));
    await vi.waitFor(() => expect(addresses()).toEqual(['10.0.0.1:80']));
  });

  it('names are asked for again, and only a change is an update', async () => {
    let answer = ['10.0.0.1', '10.0.0.2'];
    const resolve = vi.fn(() => Promise.resolve(answer));
    const { clock, seen, addresses, source } = start(dns('strict-dns', 'a.test'), resolve);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    answer = ['10.0.0.2', '10.0.0.1'];
    clock.advance(5000);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    expect([resolve.mock.calls.length, seen.length]).toEqual([2, 1]);
    answer = ['10.0.0.3'];
    clock.advance(5000);
    await vi.waitFor(() => expect(addresses()).toEqual(['10.0.0.3:80']));
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    source?.close();
    expect(clock.pending).toBe(0);
  });

  it('a name that fails keeps what it had, and is empty where it had nothing', async () => {
    let fails = false;
    const { clock, seen, addresses } = start(dns('strict-dns', 'a.test'), () => (fails ? Promise.reject(new Error('SERVFAIL')) : Promise.resolve(['10.0.0.1'])));
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    fails = true;
    clock.advance(5000);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    expect([seen.length, addresses()]).toEqual([1, ['10.0.0.1:80']]);
    const never = start(dns('strict-dns', 'a.test'), () => Promise.reject(new Error('NXDOMAIN')));
    await vi.waitFor(() => expect(never.addresses()).toEqual([]));
  });

  it('an unset rate is five seconds, not a busy loop', async () => {
    const { clock } = start({ ...dns('strict-dns', 'a.test') } as ClusterConfig['type'], () => Promise.resolve(['10.0.0.1']));
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    clock.advance(4999);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(clock.pending).toBe(0);
  });

  it('addresses need no resolver and no timer', async () => {
    const { addresses, clock } = start(dns('strict-dns', '10.0.0.1', '::1'));
    await vi.waitFor(() => expect(addresses()).toEqual(['10.0.0.1:80', '::1:80']));
    expect(clock.pending).toBe(0);
  });

  it('an answer after close is not passed on', async () => {
    const answer = Promise.withResolvers<readonly string[]>();
    const { seen, source, clock } = start(dns('strict-dns', 'a.test'), () => answer.promise);
    source?.close();
    answer.resolve(['10.0.0.1']);
    await answer.promise;
    await new Promise(setImmediate);
    expect([seen.length, clock.pending]).toEqual([0, 0]);
  });
});
