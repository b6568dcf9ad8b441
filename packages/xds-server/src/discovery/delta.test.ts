import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { typeUrls, type NodeFacets, type Profile, type ResourceType } from '../generate/generator.js';
import { AdsTestClient, contentsOf, weftNode, type DeltaStream } from './testing.js';
import { rawProfile, startDiscovery, type TestServer } from './testing-server.js';

const envoyNode = { id: 'sidecar~127.0.0.1~web.default~default.svc.cluster.local', userAgentName: 'envoy' };
const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };

/** A route that shows what is known about the node. */
const weftProfile: Profile = {
  ...rawProfile('weft'),
  generate: (type, _, { node }) => (type === 'route' ? { typeUrl: typeUrls.route, value: new TextEncoder().encode(facts(node)) } : undefined),
};
const facts = (node: NodeFacets) => [node.namespace, node.workload, node.serviceAccount, node.labels['app'], node.locality.zone].join('|');

let server: TestServer;
let client: AdsTestClient;
beforeEach(async () => {
  vi.clearAllMocks();
  server = await startDiscovery({ logger, profiles: { weft: weftProfile }, limits: { names: 100 } });
  client = new AdsTestClient(server.address);
});
afterEach(async () => {
  client.close();
  await server.close();
});

async function subscribed(stream: DeltaStream, type: ResourceType, ...names: string[]) {
  stream.subscribe(type, ...names);
  return stream.next();
}

let markers = 0;

/** Nothing is due: types that are not served are answered last, so whatever was due would come before this answer. */
async function nothingBefore(stream: DeltaStream) {
  stream.request({ typeUrl: 'marker', resourceNamesSubscribe: [`${markers++}`] });
  expect((await stream.next()).typeUrl).toBe('marker');
}

describe('delta', () => {
  it('sends what was subscribed to, then only what changed', async () => {
    server.set({ 'cluster/a': 'a1', 'cluster/b': 'b1' });
    const stream = client.delta();
    expect(contentsOf(await subscribed(stream, 'cluster', 'a', 'b'))).toEqual(['a=a1', 'b=b1']);
    server.set({ 'cluster/b': 'b2', 'cluster/c': 'c1' });
    expect(contentsOf(await stream.next())).toEqual(['b=b2']);
    await nothingBefore(stream);
  });

  it('says at once that a name does not exist, then that it does, then that it is gone', async () => {
    const stream = client.delta();
    const unknown = await subscribed(stream, 'listener', 'a');
    expect([unknown.resources, unknown.removedResources]).toEqual([[], ['a']]);
    server.set({ 'listener/a': 'a1' });
    expect(contentsOf(await stream.next())).toEqual(['a=a1']);
    server.set({ 'listener/a': undefined });
    expect(await stream.next()).toMatchObject({ resources: [], removedResources: ['a'] });
  });

  it('says nothing more about a name that was unsubscribed', async () => {
    server.set({ 'endpoint/a': 'a1' });
    const stream = client.delta();
    await subscribed(stream, 'endpoint', 'a');
    stream.unsubscribe('endpoint', 'a');
    await nothingBefore(stream);
    server.set({ 'endpoint/a': 'a2' });
    await nothingBefore(stream);
  });

  it('sends a resource again when it is subscribed to again, with or without unsubscribing before', async () => {
    server.set({ 'endpoint/a': 'a1' });
    const stream = client.delta();
    await subscribed(stream, 'endpoint', 'a');
    expect(contentsOf(await subscribed(stream, 'endpoint', 'a'))).toEqual(['a=a1']);
    stream.unsubscribe('endpoint', 'a');
    expect(contentsOf(await subscribed(stream, 'endpoint', 'a'))).toEqual(['a=a1']);
  });

  it('after a reconnect sends only what differs from what the client says it has', async () => {
    server.set({ 'cluster/same': 's1', 'cluster/changed': 'c1', 'cluster/gone': 'g1' });
    const before = await subscribed(client.delta(), 'cluster', 'same', 'changed', 'gone');
    const initialResourceVersions = Object.fromEntries(before.resources.map(({ name, version }) => [name, version]));
    server.set({ 'cluster/changed': 'c2', 'cluster/gone': undefined });
    const stream = client.delta();
    stream.request({ typeUrl: typeUrls.cluster, resourceNamesSubscribe: ['same', 'changed', 'gone', 'new'], initialResourceVersions });
    const [update, removal] = [await stream.next(), await stream.next()];
    expect([contentsOf(update), update.removedResources]).toEqual([['changed=c2'], ['new']]);
    expect([contentsOf(removal), removal.removedResources]).toEqual([[], ['gone']]);
  });

  it('answers the first request of a type even where the client has everything', async () => {
    server.set({ 'cluster/a': 'a1' });
    const before = await subscribed(client.delta(), 'cluster', 'a');
    const stream = client.delta();
    stream.request({ typeUrl: typeUrls.cluster, resourceNamesSubscribe: ['a'], initialResourceVersions: { a: before.resources[0]!.version } });
    expect(await stream.next()).toMatchObject({ resources: [], removedResources: [] });
  });

  it('does not confuse names with what JavaScript objects inherit', async () => {
    const stream = client.delta();
    expect((await subscribed(stream, 'cluster', 'constructor', '__proto__')).removedResources).toEqual(['constructor', '__proto__']);
  });

  it('adds in make-before-break order and removes in reverse', async () => {
    const stream = client.delta();
    for (const type of ['listener', 'endpoint', 'cluster'] as const) await subscribed(stream, type, 'x');
    server.set({ 'listener/x': 'l', 'endpoint/x': 'e', 'cluster/x': 'c' });
    expect([await stream.next(), await stream.next(), await stream.next()].flatMap(contentsOf)).toEqual(['x=c', 'x=e', 'x=l']);
    server.set({ 'listener/x': undefined, 'endpoint/x': undefined, 'cluster/x': undefined });
    const removals = [await stream.next(), await stream.next(), await stream.next()].map(({ typeUrl }) => typeUrl);
    expect(removals).toEqual([typeUrls.listener, typeUrls.endpoint, typeUrls.cluster]);
  });

  it('keeps going after a NACK', async () => {
    server.set({ 'cluster/a': 'a1' });
    const stream = client.delta();
    stream.nack(await subscribed(stream, 'cluster', 'a'), 'cluster a: bad');
    await nothingBefore(stream);
    expect(logger.warn).toHaveBeenCalledTimes(1);
    expect(logger.warn.mock.calls[0]![0]).toMatchObject({ names: ['a'], reason: 'cluster a: bad', type: typeUrls.cluster });
    server.set({ 'cluster/a': 'a2' });
    const next = await stream.next();
    expect(contentsOf(next)).toEqual(['a=a2']);
  });

  it('takes a first request without names, and `*`, as a wildcard that follows what comes and goes', async () => {
    server.set({ 'cluster/a': 'a1' });
    const legacy = client.delta(envoyNode);
    legacy.request({ typeUrl: typeUrls.cluster });
    const explicit = client.delta(envoyNode);
    explicit.subscribe('cluster', '*');
    for (const stream of [legacy, explicit]) expect(contentsOf(await stream.next())).toEqual(['a=a1']);
    server.set({ 'cluster/b': 'b1', 'cluster/a': undefined });
    for (const stream of [legacy, explicit]) {
      expect(contentsOf(await stream.next())).toEqual(['b=b1']);
      expect((await stream.next()).removedResources).toEqual(['a']);
    }
  });

  it('does not take a request without names as a wildcard after names were given', async () => {
    server.set({ 'cluster/a': 'a1', 'cluster/b': 'b1' });
    const stream = client.delta(envoyNode);
    stream.ack(await subscribed(stream, 'cluster', 'a'));
    await nothingBefore(stream);
  });

  it('keeps named resources when the wildcard is given up, and tells again about a name given up beside a wildcard', async () => {
    server.set({ 'cluster/a': 'a1', 'cluster/b': 'b1' });
    const stream = client.delta(envoyNode);
    await subscribed(stream, 'cluster', '*', 'a');
    stream.unsubscribe('cluster', 'a');
    expect(contentsOf(await stream.next())).toEqual(['a=a1']);
    await subscribed(stream, 'cluster', 'b');
    stream.unsubscribe('cluster', '*');
    server.set({ 'cluster/a': 'a2', 'cluster/b': 'b2' });
    expect(contentsOf(await stream.next())).toEqual(['b=b2']);
    await nothingBefore(stream);
  });

  it('tells a wildcard client after a reconnect what went while it was away', async () => {
    const stream = client.delta(envoyNode);
    stream.request({ typeUrl: typeUrls.cluster, initialResourceVersions: { gone: 'g1' } });
    await stream.next();
    expect((await stream.next()).removedResources).toEqual(['gone']);
  });

  it('gives Weft clients no wildcard', async () => {
    server.set({ 'cluster/a': 'a1' });
    expect((await subscribed(client.delta(weftNode()), 'cluster', '*')).removedResources).toEqual(['*']);
  });

  it('regenerates for a node when what its WorkloadGroup says changes, and sends only then', async () => {
    const group = (labels: Record<string, string>, network = '') =>
      server.model.replace('group', [
        { type: 'workload-group', key: 'default/web', namespace: 'default', name: 'web', origin: 'WorkloadGroup default/web', createdAt: 0, labels, serviceAccount: 'web-sa', ports: {}, locality: { region: 'r', zone: 'z', subZone: '' }, network },
      ]);
    const stream = client.delta(weftNode({ metadata: { AUTO_REGISTER_GROUP: 'web', NAMESPACE: 'default', LABELS: { app: 'admin' } } }));
    expect(contentsOf(await subscribed(stream, 'route', 'r'))).toEqual(['r=default||default||']);
    group({ app: 'web' });
    expect(contentsOf(await stream.next())).toEqual(['r=default|web|web-sa|web|z']);
    group({ app: 'web' }, 'other');
    await nothingBefore(stream);
    group({ app: 'web2' });
    expect(contentsOf(await stream.next())).toEqual(['r=default|web|web-sa|web2|z']);
  });

  it('follows a change of what a wildcard means to a node', async () => {
    const envoy: Profile = {
      name: 'envoy',
      wildcard: true,
      generate: (_, name, { node }) => ({ typeUrl: typeUrls.cluster, value: new TextEncoder().encode(`${name} for ${node.workload}`) }),
      names: (_, { node }) => (node.workload === '' ? ['public'] : ['inner', 'public']),
    };
    const other = await startDiscovery({ profiles: { envoy } });
    const otherClient = new AdsTestClient(other.address);
    const stream = otherClient.delta({ ...envoyNode, metadata: { AUTO_REGISTER_GROUP: 'web' } });
    expect(contentsOf(await subscribed(stream, 'cluster', '*'))).toEqual(['public=public for ']);
    const base = { key: 'default/web', namespace: 'default', name: 'web', origin: '', createdAt: 0, labels: {}, serviceAccount: 'web', ports: {}, locality: { region: '', zone: '', subZone: '' }, network: '' };
    other.model.replace('group', [{ type: 'workload-group', ...base }]);
    expect(contentsOf(await stream.next()).sort()).toEqual(['inner=inner for web', 'public=public for web']);
    other.model.replace('group', []);
    expect(contentsOf(await stream.next())).toEqual(['public=public for ']);
    expect((await stream.next()).removedResources).toEqual(['inner']);
    otherClient.close();
    await other.close();
  });

  it('limits the names of one stream', async () => {
    const stream = client.delta();
    stream.subscribe('cluster', ...Array.from({ length: 101 }, (_, i) => `c${i}`));
    expect(await stream.ended).toMatchObject({ code: 8, details: 'more than 100 names on one stream' });
  });

  it('splits what is too large for one message', async () => {
    const megabyte = 'x'.repeat(1024 * 1024);
    server.set({ 'endpoint/a': megabyte, 'endpoint/b': megabyte, 'endpoint/c': megabyte });
    const stream = client.delta();
    stream.subscribe('endpoint', 'a', 'b', 'c');
    expect([await stream.next(), await stream.next()].map((response) => response.resources.map(({ name }) => name))).toEqual([['a', 'b'], ['c']]);
  });

  it('keeps only the latest state for a client that does not read', async () => {
    const large = (i: number) => `${i}:${'x'.repeat(200_000)}`;
    server.set({ 'endpoint/a': large(0) });
    const stream = client.delta();
    await subscribed(stream, 'endpoint', 'a');
    stream.pause();
    const other = client.delta();
    await subscribed(other, 'endpoint', 'marker');
    for (let i = 1; i <= 200; i++) {
      server.set({ 'endpoint/a': large(i), 'endpoint/marker': `${i}` });
      await other.next();
    }
    const pushes = server.discovery.stats.pushes.get(typeUrls.endpoint)!;
    // 200 for the reader; for the other only what fits into the flow control windows.
    expect(pushes).toBeGreaterThanOrEqual(200);
    expect(pushes).toBeLessThan(240);
    stream.resume();
    await vi.waitFor(async () => expect(contentsOf(await stream.next())[0]).toMatch(/^a=200:/), { timeout: 10_000, interval: 1 });
  });
});
