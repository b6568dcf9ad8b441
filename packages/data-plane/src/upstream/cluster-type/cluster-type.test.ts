import { FakeClock } from '@weft/spiffe/testing';
import { describe, expect, it, vi } from 'vitest';
import type { ClusterConfig, EndpointsConfig } from '../../resource/cluster-config.js';
import { clusterConfig, endpoint, endpoints, FakeXds, locality, resourceType, silent } from '../test-support.js';
import { builtinClusterTypes } from './builtin.js';

function start(type: ClusterConfig['type'], resolve: (name: string) => Promise<readonly string[]> = () => Promise.reject(new Error('not asked for'))) {
  const clock = new FakeClock(0);
  const xds = new FakeXds();
  const seen: EndpointsConfig[] = [];
  const errors: Error[] = [];
  const config = clusterConfig({ type });
  const source = builtinClusterTypes.find(({ kinds }) => kinds.includes(type.kind))?.start(
    config,
    { onEndpoints: (state) => seen.push(state), onError: (error) => errors.push(error) },
    { xds, endpointType: resourceType('endpoints'), clock, logger: silent, resolve },
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
    expect(start({ kind: 'static', assignment: endpoints([['10.0.0.1']]), dnsRefreshMs: 0 }).addresses()).toEqual(['10.0.0.1:80']);
  });
});

describe('strict and logical DNS', () => {
  const dns = (kind: 'strict-dns' | 'logical-dns', ...names: string[]): ClusterConfig['type'] => ({ kind, assignment: endpoints([locality(names.map((name) => endpoint(name)))]), dnsRefreshMs: 5000 });

  it('every address of every name is a host that knows its name', async () => {
    const { addresses, seen } = start(dns('strict-dns', 'a.test', 'b.test', '10.0.0.9'), (name) => Promise.resolve(name === 'a.test' ? ['10.0.0.2', '10.0.0.1'] : ['::1']));
    await vi.waitFor(() => expect(addresses()).toEqual(['10.0.0.1:80', '10.0.0.2:80', '::1:80', '10.0.0.9:80']));
    expect(seen[0]?.localities[0]?.endpoints.map(({ hostname }) => hostname)).toEqual(['a.test', 'a.test', 'b.test', '']);
  });

  it('the first address alone, for a logical name', async () => {
    const { addresses } = start(dns('logical-dns', 'a.test'), () => Promise.resolve(['10.0.0.2', '10.0.0.1']));
    await vi.waitFor(() => expect(addresses()).toEqual(['10.0.0.2:80']));
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
    const { clock } = start({ ...dns('strict-dns', 'a.test'), dnsRefreshMs: 0 } as ClusterConfig['type'], () => Promise.resolve(['10.0.0.1']));
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
