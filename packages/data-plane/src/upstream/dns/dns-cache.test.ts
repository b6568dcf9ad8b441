import { FakeClock } from '@weft/spiffe/testing';
import { describe, expect, it, vi } from 'vitest';
import type { DnsCacheConfig } from '../../resource/cluster-config.js';
import { silent } from '../test-support.js';
import { DnsCache, DnsCaches, hostKeyOf, type CachedHost } from './dns-cache.js';
import { forwardProxyGuard } from './forward-proxy-guard.js';

const base: DnsCacheConfig = { name: 'dns', dns: { family: 'v4-only', respectTtl: false, refreshMs: 60_000 }, hostTtlMs: 300_000, maxHosts: 1024, maxPending: 1024, queryTimeoutMs: 5000, preresolve: [] };

function setup(config: Partial<DnsCacheConfig> = {}, allow: string[] = []) {
  const clock = new FakeClock(0);
  const names = new Map<string, string[]>();
  const lookup = vi.fn((name: string) => {
    const addresses = names.get(name);
    return addresses ? Promise.resolve({ addresses }) : Promise.reject(new Error(`${name} is not known`));
  });
  const cache = new DnsCache({ ...base, ...config }, { clock, random: () => 0, lookup, logger: silent, guard: forwardProxyGuard(allow) });
  const resolved = async (key: string) => {
    const host = cache.get(key) as CachedHost;
    await new Promise<void>((resolve) => void cache.wait(host, resolve));
    return host.addresses.join(' ') || host.reason;
  };
  return { clock, names, lookup, cache, resolved };
}

describe('a DNS cache of a forward proxy', () => {
  it('asks once for a name, tells clusters before those who wait, and answers the next at once', async () => {
    const { names, lookup, cache, resolved } = setup();
    names.set('a.example', ['203.0.113.1', '203.0.113.2']);
    const order: string[] = [];
    cache.subscribe(() => order.push(`cluster ${[...cache.hosts()].map(({ key }) => key).join()}`));
    await Promise.all([resolved('a.example:80').then((found) => order.push(found)), resolved('a.example:80')]);
    expect(order).toEqual(['cluster a.example:80', '203.0.113.1 203.0.113.2']);
    const again = vi.fn();
    expect(cache.wait(cache.get('a.example:80')!, again)).toBeUndefined();
    expect([again.mock.calls.length, lookup.mock.calls.length]).toEqual([1, 1]);
  });

  it('asks again at its rate, keeps what it knew when that fails, and forgets who is not used', async () => {
    const { clock, names, lookup, cache, resolved } = setup({ hostTtlMs: 150_000 });
    names.set('a.example', ['203.0.113.1']);
    await resolved('a.example:80');
    names.set('a.example', ['203.0.113.9']);
    clock.advance(60_000);
    await vi.waitFor(() => expect(cache.get('a.example:80')!.addresses).toEqual(['203.0.113.9']));
    names.delete('a.example');
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    clock.advance(60_000);
    await vi.waitFor(() => expect(lookup).toHaveBeenCalledTimes(3));
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    expect([...cache.hosts()].map(({ addresses }) => addresses)).toEqual([['203.0.113.9']]);
    // Last used at 60 s.
    for (let i = 0; i < 2; i++) {
      clock.advance(60_000);
      await vi.waitFor(() => expect([clock.pending, [...cache.hosts()].length].includes(i === 1 ? 0 : 1)).toBe(true));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([...cache.hosts()]).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('has room for so many hosts, and so many that wait', () => {
    const cache = new DnsCache({ ...base, maxHosts: 2, maxPending: 1 }, { clock: new FakeClock(0), random: () => 0, lookup: () => new Promise(() => undefined), logger: silent, guard: () => undefined });
    const [first, second] = ['a.example:80', 'b.example:80'].map((key) => cache.get(key)!);
    expect(cache.get('c.example:80')).toBeUndefined();
    const stop = cache.wait(first!, () => undefined) as () => void;
    expect(cache.wait(second!, () => undefined)).toBe(false);
    stop();
    stop();
    expect(cache.wait(second!, () => undefined)).toBeTypeOf('function');
    expect(cache.wait(first!, () => undefined)).toBe(false);
    cache.close();
  });

  it('does not let requests wait for ever', async () => {
    const clock = new FakeClock(0);
    const cache = new DnsCache(base, { clock, random: () => 0, lookup: () => new Promise(() => undefined), logger: silent, guard: () => undefined });
    const host = cache.get('slow.example:80')!;
    const done = vi.fn();
    cache.wait(host, done);
    clock.advance(5000);
    expect([done.mock.calls.length, host.reason]).toEqual([1, 'slow.example could not be resolved in 5000 ms']);
    cache.close();
    expect(clock.pending).toBe(0);
  });

  it('judges every address a name leads to, at each answer, and addresses that stand for themselves', async () => {
    const { clock, names, cache, resolved } = setup();
    names.set('metadata.example', ['169.254.169.254']).set('mixed.example', ['10.0.0.1', '203.0.113.1']).set('rebinding.example', ['203.0.113.1']);
    expect(await resolved('metadata.example:80')).toBe('metadata.example resolves to 169.254.169.254, which is not a public address (option forwardProxyAllow)');
    expect(await resolved('mixed.example:80')).toBe('203.0.113.1');
    expect(await resolved('127.0.0.1:80')).toContain('is not a public address');
    expect(await resolved('203.0.113.5:80')).toBe('203.0.113.5');
    await resolved('rebinding.example:80');
    names.set('rebinding.example', ['127.0.0.1']);
    clock.advance(60_000);
    await vi.waitFor(() => expect(cache.get('rebinding.example:80')!.addresses).toEqual([]));
    const allowed = setup({}, ['10.0.0.0/8', '::1']);
    allowed.names.set('mixed.example', ['10.0.0.1', '192.168.0.1']);
    expect(await allowed.resolved('mixed.example:80')).toBe('10.0.0.1');
    expect(await allowed.resolved('[::1]:80')).toBe('::1');
  });

  it('resolves beforehand what it is told to', async () => {
    const { lookup, cache } = setup({ preresolve: [{ host: 'a.example', port: 8080 }] });
    expect(lookup.mock.calls[0]?.[0]).toBe('a.example');
    expect(cache.get('a.example:8080')?.port).toBe(8080);
  });

  it('is one by its name, whose configuration filter and cluster share', () => {
    const caches = new DnsCaches({ clock: new FakeClock(0), random: () => 0, lookup: () => Promise.reject(new Error('no')), logger: silent, guard: () => undefined });
    expect(caches.get(base)).toBe(caches.get({ ...base }));
    expect(() => caches.get({ ...base, maxHosts: 7 })).toThrow('the DNS cache dns has another configuration already');
  });
});

it.each([
  ['10.1.2.3'], ['100.64.0.1'], ['127.0.0.1'], ['169.254.169.254'], ['172.31.0.1'], ['192.168.1.1'], ['0.0.0.0'], ['224.0.0.1'], ['255.255.255.255'],
  ['::1'], ['::'], ['::ffff:10.0.0.1'], ['::ffff:7f00:1'], ['::7f00:1'], ['64:ff9b::7f00:1'], ['2002:7f00:1::'], ['fd00:ec2::254'], ['fe80::1'], ['ff02::1'], ['a.example'],
])('a forward proxy does not dial %s', (address) => expect(forwardProxyGuard()(address)).toBeDefined());

it.each([['203.0.113.1'], ['8.8.8.8'], ['172.32.0.1'], ['2606:4700::1111'], ['::ffff:8.8.8.8']])('a forward proxy may dial %s', (address) => expect(forwardProxyGuard()(address)).toBeUndefined());

it('refuses to allow what is no address', () => {
  for (const entry of ['example.com', '10.0.0.0/33', '10.0.0.0/x', '']) expect(() => forwardProxyGuard([entry])).toThrow('is not an address or a CIDR range');
});

it.each([['a.example', 'a.example:80'], ['A.example:8080', 'a.example:8080'], ['::1', '[::1]:80'], ['[::1]', '[::1]:80'], ['[::1]:9', '[::1]:9'], ['10.0.0.1', '10.0.0.1:80'], ['a.example:0', 'a.example:0:80'], ['a.example:65536', 'a.example:65536:80']])('%s is written %s', (authority, key) => expect(hostKeyOf(authority, 80)).toBe(key));
