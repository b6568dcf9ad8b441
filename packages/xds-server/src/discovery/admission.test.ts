import { channelCredentials, MeshServerCredentials, TlsContexts } from '@weft/spiffe';
import { FakeClock, TestAuthority } from '@weft/spiffe/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { addressOf, type StreamLimits } from './admission.js';
import { DiscoveryStats } from './discovery-stats.js';
import type { StreamObserver } from './client-stream.js';
import { AdsTestClient, contentsOf, weftNode } from './testing.js';
import { startDiscovery, type TestServer } from './testing-server.js';

const authority = TestAuthority.create('cluster.local');
const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
const ignore: StreamObserver = { opened: () => undefined, subscribed: () => undefined, unsubscribed: () => undefined, health: () => undefined, closed: () => undefined };

let clock: FakeClock;
let server: TestServer;
const clients: AdsTestClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.close();
});

async function start(limits: Partial<StreamLimits>, observer: StreamObserver = ignore) {
  clock = new FakeClock();
  const credentials = new MeshServerCredentials(new TlsContexts(authority.source('/ns/istio-system/sa/weft-control-plane')), { requireClientCertificate: false });
  server = await startDiscovery({ clock, credentials, limits, observer, logger });
  server.set({ 'cluster/a': 'a1', 'listener/weft/inbound/http/10.0.0.1:80': 'one', 'listener/weft/inbound/http/10.0.0.1:81': 'two' });
}

/** A stream that follows cluster `a`, and its first answer where there is one. */
async function follow(account: string) {
  const client = new AdsTestClient(server.address, channelCredentials(new TlsContexts(authority.source(`/ns/shop/sa/${account}`)), { expectedIds: [] }));
  clients.push(client);
  const stream = client.delta(weftNode({ metadata: { NAMESPACE: 'shop' } }));
  stream.subscribe('cluster', 'a');
  const first = await Promise.race([stream.next(), stream.ended]);
  return { client, stream, first };
}

describe('discovery streams', () => {
  it('are as many as one identity may have, and no more, until one of them ends', async () => {
    await start({ streamsPerCaller: 2 });
    const one = await follow('web');
    await follow('web');
    expect((await follow('web')).first).toMatchObject({ code: 8, details: 'spiffe://cluster.local/ns/shop/sa/web has 2 discovery streams open, as many as one caller may have' });
    expect((await follow('other')).first).not.toHaveProperty('code');
    one.client.close();
    await vi.waitFor(() => expect(server.discovery.streams).toHaveLength(2));
    expect((await follow('web')).first).not.toHaveProperty('code');
    expect(server.discovery.stats.refused).toBe(1);
  });

  it('are as many as the control plane takes, and no more', async () => {
    await start({ streams: 1 });
    await follow('web');
    expect((await follow('other')).first).toMatchObject({ code: 8, details: '1 discovery streams are open, as many as this control plane takes' });
  });

  it('end after their greatest age, after what was due to them', async () => {
    await start({ maxAgeMs: 60_000 });
    const { stream } = await follow('web');
    clock.advance(53_000);
    expect(server.discovery.streams).toHaveLength(1);
    for (let second = 0; second < 14 && server.discovery.streams.length > 0; second++) {
      clock.advance(1000);
      await new Promise(setImmediate);
      await new Promise(setImmediate);
    }
    expect(await stream.ended).toMatchObject({ code: 0 });
  });

  it('end where no request comes', async () => {
    await start({ silentMs: 5000 });
    const client = new AdsTestClient(server.address, channelCredentials(new TlsContexts(authority.source('/ns/shop/sa/web')), { expectedIds: [] }));
    clients.push(client);
    const stream = client.delta();
    const asked = await follow('web');
    await vi.waitFor(() => expect(server.discovery.streams).toHaveLength(2));
    clock.advance(6000);
    expect(await stream.ended).toMatchObject({ code: 4, details: 'no request within 5000 ms' });
    expect(server.discovery.streams).toHaveLength(1);
    asked.client.close();
  });

  it('name at most so many resources, fewer where the client knows no wildcard', async () => {
    await start({ names: 20, namesWithoutWildcard: 10 });
    const names = (count: number) => Array.from({ length: count }, (_, at) => `n${at}`);
    const ended = async (userAgentName: string, count: number) => {
      const { client, stream } = await follow('web');
      stream.cancel();
      const other = client.delta(weftNode({ userAgentName, metadata: { NAMESPACE: 'shop' } }));
      other.subscribe('cluster', ...names(count));
      return Promise.race([other.next().then(() => 'served'), other.ended.then(({ details }) => details)]);
    };
    expect(await ended('weft', 10)).toBe('served');
    expect(await ended('weft', 11)).toBe('more than 10 names on one stream');
    expect(await ended('envoy', 20)).toBe('served');
    expect(await ended('envoy', 21)).toBe('more than 20 names on one stream');
  });

  it('get no Listener of a port whose registration was refused, and the others’', async () => {
    await start({}, { ...ignore, subscribed: (_, __, name) => (name.endsWith(':81') ? 'the quota is used up' : undefined) });
    const { stream } = await follow('web');
    stream.subscribe('listener', 'weft/inbound/http/10.0.0.1:80', 'weft/inbound/http/10.0.0.1:81');
    const response = await stream.next();
    expect(contentsOf(response)).toEqual(['weft/inbound/http/10.0.0.1:80=one']);
    expect(response.removedResources).toEqual(['weft/inbound/http/10.0.0.1:81']);
    expect(logger.error).toHaveBeenCalledWith(expect.objectContaining({ reason: 'the quota is used up' }), expect.any(String));
    expect(server.discovery.stats.registrationsRefused).toBe(1);
  });

  it.each([
    ['id', weftNode({ id: 'x'.repeat(2000) }), 'node: id has 2000 characters'],
    ['group', weftNode({ metadata: { NAMESPACE: 'shop', AUTO_REGISTER_GROUP: 'g'.repeat(300) } }), 'node: AUTO_REGISTER_GROUP has 300 characters'],
    ['addresses', weftNode({ metadata: { NAMESPACE: 'shop', INSTANCE_IPS: Array.from({ length: 65 }, (_, at) => `10.0.0.${at}`).join(',') } }), 'node: INSTANCE_IPS names 65 addresses'],
  ])('are refused where the node’s %s are without measure', async (_, node, reason) => {
    await start({});
    const client = new AdsTestClient(server.address, channelCredentials(new TlsContexts(authority.source('/ns/shop/sa/web')), { expectedIds: [] }));
    clients.push(client);
    const stream = client.delta(node);
    stream.subscribe('cluster', 'a');
    expect(await stream.ended).toMatchObject({ code: 3, details: expect.stringContaining(reason) as string });
  });

  it('are refused where a resource name is without measure, and keep little of a rejection', async () => {
    await start({});
    const { stream, first } = await follow('web');
    stream.nack(first as never, 'x'.repeat(5000));
    stream.subscribe('cluster', 'n'.repeat(3000));
    expect(await stream.ended).toMatchObject({ code: 3, details: 'a resource name of 3000 characters; at most 2048 are allowed' });
    const [fields] = logger.warn.mock.calls.find(([entry]) => (entry as { reason?: string }).reason?.startsWith('xxx'))!;
    expect((fields as { reason: string }).reason).toHaveLength(4096);
  });
});

it('types that clients invent do not fill the counters', () => {
  const stats = new DiscoveryStats();
  for (let at = 0; at < 1000; at++) stats.pushed(`type-${at}`, 1);
  expect(stats.pushes.size).toBeLessThan(100);
  expect(stats.pushes.get('other')).toBe(1000 - 64);
});

it.each([['127.0.0.1:4000', '127.0.0.1'], ['[::1]:4000', '::1'], ['::ffff:10.0.0.1:4000', '10.0.0.1'], ['[::ffff:10.0.0.1]:4000', '10.0.0.1']])('%s comes from %s', (peer, address) => {
  expect(addressOf(peer)).toBe(address);
});
