import { credentials, status } from '@grpc/grpc-js';
import { FakeClock } from '@weft/spiffe/testing';
import type { DeltaDiscoveryRequest, DiscoveryRequest } from '@weft/xds-api/discovery';
import { SecretSchema } from '@weft/xds-api/tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { secretType } from '../resource/secret.js';
import type { SecretConfig } from '../resource/secret-config.js';
import { AdsClient } from './ads-client.js';
import type { AdsProtocol } from './protocol.js';
import { TestAdsServer, type TestAdsServerOptions } from './testing.js';
import type { ResourceType } from './resource-type.js';

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0).reverse()) each.close();
});

const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: vi.fn() };

async function start(options: TestAdsServerOptions & { server?: TestAdsServer } = {}, clientOptions: { ignoreResourceDeletion?: boolean } = {}) {
  const server = options.server ?? (await TestAdsServer.start(options));
  const clock = new FakeClock();
  const client = new AdsClient({
    target: { address: server.address, target: server.address, credentials: async () => credentials.createInsecure() },
    node: { id: 'test-node', cluster: '', locality: { region: '', zone: '', subZone: '' }, metadata: {} },
    clock,
    logger,
    random: () => 0.5,
    ...clientOptions,
  });
  opened.push(server, client);
  return { server, clock, client };
}

function roots(server: TestAdsServer, name: string, pem: string): void {
  server.set(SecretSchema, name, { name, type: { case: 'validationContext', value: { trustedCa: { specifier: { case: 'inlineString', value: pem } } } } });
}

/** Everything a watcher was told, in order. */
function follow(client: AdsClient, name: string, type: ResourceType<SecretConfig> = secretType) {
  const events: string[] = [];
  const subscription = client.watch(type, name, {
    onResource: ({ trustedCaPem }) => events.push(`resource ${trustedCaPem}`),
    onAbsent: () => events.push('absent'),
    onError: (error) => events.push(`error ${error.message}`),
  });
  return { events, close: () => subscription.close() };
}

const states = (client: AdsClient) => Object.fromEntries(client.status().resources.map(({ name, state }) => [name, state]));
/** Secrets whose absence from a response is their end, as that of Listeners and Clusters. */
const fullStateType: ResourceType<SecretConfig> = { ...secretType, fullState: true };

describe.each<AdsProtocol>(['delta', 'sotw'])('%s', (protocol) => {
  const protocols = [protocol];

  it('delivers a resource, its changes, its removal, and the same bytes again after that', async () => {
    const { server, client, clock } = await start({ protocols });
    roots(server, 'a', 'one');
    const { events } = follow(client, 'a');
    await vi.waitFor(() => expect(events).toEqual(['resource one']));
    roots(server, 'a', 'two');
    await vi.waitFor(() => expect(events).toEqual(['resource one', 'resource two']));
    expect(client.status().servers[0]).toMatchObject({ connected: true, protocol });
    if (protocol === 'sotw') return; // Secrets are never removed by absence; that is the next test.
    server.remove(secretType.typeUrl, 'a');
    await vi.waitFor(() => expect(events.at(-1)).toBe('absent'));
    roots(server, 'a', 'two');
    await vi.waitFor(() => expect(events).toEqual(['resource one', 'resource two', 'absent', 'resource two']));
    expect(clock.pending).toBe(0);
  });

  it('sends the node once per stream and never subscribes to everything', async () => {
    const { server, client } = await start({ protocols });
    roots(server, 'a', 'one');
    const first = follow(client, 'a');
    await vi.waitFor(() => expect(first.events).toHaveLength(1));
    first.close();
    const stream = server.open[0]!;
    await vi.waitFor(() => expect(stream.subscribed.get(secretType.typeUrl)?.size).toBe(0));
    stream.end();
    await vi.waitFor(() => expect(server.streams).toHaveLength(2));
    await vi.waitFor(() => expect(client.status().servers[0]!.connected).toBe(true));
    expect(server.streams.flatMap(({ requests }) => requests.filter(({ node }) => node)).length).toBe(1);
    expect(server.open[0]!.requests).toEqual([]);
    expect(() => follow(client, '*')).toThrow(TypeError);
    expect(() => follow(client, '')).toThrow(TypeError);
  });

  it('asks once for names that are watched in one tick, and keeps one that is let go and taken again', async () => {
    const { server, client } = await start({ protocols });
    for (const name of ['a', 'b', 'c']) roots(server, name, name);
    const followed = ['a', 'b', 'c'].map((name) => follow(client, name));
    await vi.waitFor(() => expect(followed.every(({ events }) => events.length === 1)).toBe(true));
    const subscribing = () => server.open[0]!.requests.filter((request) => ('responseNonce' in request ? request.responseNonce === '' : true));
    expect(subscribing()).toHaveLength(1);
    followed[0]!.close();
    const again = follow(client, 'a');
    expect(again.events).toEqual(['resource a']);
    await client.ready();
    expect(server.open[0]!.subscribed.get(secretType.typeUrl)).toEqual(new Set(['a', 'b', 'c']));
    expect(subscribing()).toHaveLength(1);
  });

  it('resubscribes after unsubscribing', async () => {
    const { server, client } = await start({ protocols });
    roots(server, 'a', 'one');
    const first = follow(client, 'a');
    await vi.waitFor(() => expect(first.events).toHaveLength(1));
    first.close();
    await vi.waitFor(() => expect(server.open[0]!.subscribed.get(secretType.typeUrl)?.has('a')).toBe(false));
    expect(client.status().resources).toEqual([]);
    const second = follow(client, 'a');
    await vi.waitFor(() => expect(second.events).toEqual(['resource one']));
  });

  it('NACKs with the reason, keeps the last good version and the valid rest of the response', async () => {
    const { server, client } = await start({ protocols });
    roots(server, 'a', 'one');
    const a = follow(client, 'a');
    await vi.waitFor(() => expect(a.events).toEqual(['resource one']));
    server.silent = true;
    roots(server, 'b', 'two');
    const b = follow(client, 'b');
    await vi.waitFor(() => expect(server.open[0]!.subscribed.get(secretType.typeUrl)?.has('b')).toBe(true));
    const bad = { typeUrl: secretType.typeUrl, value: Buffer.from([0x0a, 1, 0x61, 0x1a, 0xff]) };
    const good = { typeUrl: secretType.typeUrl, value: secretBytes('b', 'two') };
    server.open[0]!.send(protocol === 'delta'
      ? { typeUrl: secretType.typeUrl, nonce: 'x', resources: [{ name: 'a', version: '7', resource: bad }, { name: 'b', version: '7', resource: good }] }
      : { typeUrl: secretType.typeUrl, nonce: 'x', versionInfo: '7', resources: [bad, good] });
    await vi.waitFor(() => expect(b.events).toEqual(['resource two']));
    expect(a.events[1]).toMatch(/^error a resource was rejected: Secret a: /);
    const nack = await vi.waitFor(() => {
      const found = server.open[0]!.requests.find(({ errorDetail }) => errorDetail);
      expect(found).toBeDefined();
      return found as DeltaDiscoveryRequest & DiscoveryRequest;
    });
    expect(nack).toMatchObject({ responseNonce: 'x', errorDetail: { code: 3, message: expect.stringMatching(/^Secret a: /) } });
    if (protocol === 'sotw') expect(nack.versionInfo).not.toBe('7');
    expect(states(client)).toEqual({ a: 'nacked', b: 'acked' });
    // A watcher that comes later gets the good one and learns of the bad one only by status.
    expect(follow(client, 'a').events).toEqual(['resource one']);
  });

  it('reports a first resource that is refused, at once and to later watchers', async () => {
    const { server, client } = await start({ protocols });
    server.set(SecretSchema, 'a', { name: 'a', type: { case: 'genericSecret', value: {} } });
    const first = follow(client, 'a');
    await vi.waitFor(() => expect(first.events[0]).toMatch(/Secret a: generic_secret: not supported/));
    expect(follow(client, 'a').events).toHaveLength(1);
    roots(server, 'a', 'one');
    await vi.waitFor(() => expect(first.events.at(-1)).toBe('resource one'));
    expect(states(client)).toEqual({ a: 'acked' });
  });

  it('counts what is not sent in 15 s as absent, also on a stream after the first', async () => {
    const { server, client, clock } = await start({ protocols, explicitAbsence: false });
    const { events } = follow(client, 'a');
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    clock.advance(14_999);
    expect(events).toEqual([]);
    server.open[0]!.send({ typeUrl: secretType.typeUrl, nonce: 'x', versionInfo: '1', resources: [] });
    await client.ready();
    const before = server.open[0]!;
    before.end();
    await vi.waitFor(() => expect([server.streams.length, clock.pending]).toEqual([2, 1]));
    clock.advance(14_999);
    expect(events).toEqual([]);
    clock.advance(1);
    expect(events).toEqual(['absent']);
    roots(server, 'a', 'late');
    await vi.waitFor(() => expect(events).toEqual(['absent', 'resource late']));
  });

  it('says after a reconnect what it holds, and gets only what changed', async () => {
    const { server, client } = await start({ protocols });
    roots(server, 'a', 'one');
    roots(server, 'b', 'one');
    const a = follow(client, 'a');
    const b = follow(client, 'b');
    await vi.waitFor(() => expect([a.events.length, b.events.length]).toEqual([1, 1]));
    const stream = server.open[0]!;
    stream.ended = true;
    roots(server, 'b', 'two');
    stream.end();
    await vi.waitFor(() => expect(b.events).toEqual(['resource one', 'resource two']));
    expect(a.events).toEqual(['resource one']);
    const [request] = server.open[0]!.requests;
    if (protocol === 'delta') expect(Object.keys((request as DeltaDiscoveryRequest).initialResourceVersions)).toEqual(['a', 'b']);
    else expect(request).toMatchObject({ versionInfo: expect.stringMatching(/^[12]$/), responseNonce: '' });
  });

  it('isolates watchers: one that throws neither stops the others nor the stream', async () => {
    const { server, client } = await start({ protocols });
    roots(server, 'a', 'one');
    client.watch(secretType, 'a', { onResource: () => { throw new Error('watcher'); }, onAbsent: () => undefined, onError: () => undefined });
    const { events } = follow(client, 'a');
    await vi.waitFor(() => expect(events).toEqual(['resource one']));
    roots(server, 'a', 'two');
    await vi.waitFor(() => expect(events).toEqual(['resource one', 'resource two']));
    expect(logger.error).toHaveBeenCalled();
  });
});

function secretBytes(name: string, pem: string): Uint8Array {
  const pemBytes = Buffer.from(pem);
  const source = Buffer.from([0x1a, pemBytes.length, ...pemBytes]);
  const context = Buffer.from([0x0a, source.length, ...source]);
  return Buffer.from([0x0a, name.length, ...Buffer.from(name), 0x22, context.length, ...context]);
}

describe('stream life', () => {
  it('falls back to state of the world where the server has no delta, and remembers it', async () => {
    const { server, client } = await start({ protocols: ['sotw'] });
    roots(server, 'a', 'one');
    const { events } = follow(client, 'a');
    await vi.waitFor(() => expect(events).toEqual(['resource one']));
    server.open[0]!.end();
    await vi.waitFor(() => expect(server.streams.length).toBe(2));
    expect(server.streams.map(({ kind }) => kind)).toEqual(['sotw', 'sotw']);
    expect(client.status().servers[0]!.protocol).toBe('sotw');
  });

  it('removes by absence only what it has seen (state of the world)', async () => {
    const { server, client } = await start({ protocols: ['sotw'] });
    roots(server, 'a', 'one');
    roots(server, 'b', 'one');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => follow(client, name, fullStateType)) as [ReturnType<typeof follow>, ReturnType<typeof follow>, ReturnType<typeof follow>];
    await vi.waitFor(() => expect([a.events.length, b.events.length]).toEqual([1, 1]));
    server.open[0]!.send({ typeUrl: secretType.typeUrl, nonce: 'y', versionInfo: '9', resources: [{ typeUrl: secretType.typeUrl, value: secretBytes('b', 'one') }] });
    await vi.waitFor(() => expect(a.events).toEqual(['resource one', 'absent']));
    expect(b.events).toEqual(['resource one']);
    expect(c.events).toEqual([]);
    server.open[0]!.send({ typeUrl: secretType.typeUrl, nonce: 'z', versionInfo: '10', resources: ['a', 'b'].map((name) => ({ typeUrl: secretType.typeUrl, value: secretBytes(name, 'one') })) });
    await vi.waitFor(() => expect(a.events).toEqual(['resource one', 'absent', 'resource one']));
  });

  it('keeps removed Listeners and Clusters where the server asks for it', async () => {
    const { server, client } = await start({ protocols: ['delta'] }, { ignoreResourceDeletion: true });
    roots(server, 'a', 'one');
    const { events } = follow(client, 'a', fullStateType);
    await vi.waitFor(() => expect(events).toEqual(['resource one']));
    server.remove(secretType.typeUrl, 'a');
    roots(server, 'a', 'two');
    await vi.waitFor(() => expect(events).toEqual(['resource one', 'resource two']));
  });

  it('backs off while nothing answers, reports it, keeps what it has, and recovers', async () => {
    const { server, client, clock } = await start();
    roots(server, 'a', 'one');
    const a = follow(client, 'a');
    await vi.waitFor(() => expect(a.events).toEqual(['resource one']));
    server.close();
    await vi.waitFor(() => expect(a.events[1]).toMatch(/error no configuration: the control plane 127.0.0.1:\d+ does not answer/));
    expect(clock.pending).toBe(1);
    const b = follow(client, 'b');
    expect(b.events[0]).toMatch(/does not answer/);
    const again = await TestAdsServer.start({ port: server.port });
    opened.push(again);
    // Versions of a new server must differ from the old one's.
    roots(again, 'a', 'one and a half');
    roots(again, 'a', 'two');
    clock.advance(999);
    expect(again.streams).toEqual([]);
    clock.advance(1);
    await vi.waitFor(() => expect(a.events.at(-1)).toBe('resource two'));
    await vi.waitFor(() => expect(b.events.at(-1)).toBe('absent'));
    expect(client.status().servers[0]).not.toHaveProperty('lastError');
  });

  it('reconnects at once when a stream that answered ends, but not twice in a row for short-lived ones', async () => {
    const { server, client, clock } = await start();
    roots(server, 'a', 'one');
    const { events } = follow(client, 'a');
    await vi.waitFor(() => expect(events).toHaveLength(1));
    server.open[0]!.end();
    await vi.waitFor(() => expect(server.streams).toHaveLength(2));
    roots(server, 'a', 'two');
    await vi.waitFor(() => expect(events).toHaveLength(2));
    server.open[0]!.end(status.UNAVAILABLE);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    expect(server.streams).toHaveLength(2);
    clock.advance(1000);
    await vi.waitFor(() => expect(server.streams).toHaveLength(3));
    // It answered before it ended, so nobody was told of a failure.
    expect(events).toEqual(['resource one', 'resource two']);
  });

  it('moves to a new connection without a gap and without losing state', async () => {
    const { server, client } = await start();
    roots(server, 'a', 'one');
    const { events } = follow(client, 'a');
    await vi.waitFor(() => expect(events).toHaveLength(1));
    const [old] = server.streams;
    client.reconnect();
    await vi.waitFor(() => expect(server.streams[1]?.requests.length).toBe(1));
    expect((server.streams[1]!.requests[0] as DeltaDiscoveryRequest).initialResourceVersions).toEqual({ a: '1' });
    expect(old!.ended).toBe(false);
    expect(client.status().servers[0]!.connected).toBe(true);
    roots(server, 'a', 'two');
    await vi.waitFor(() => expect(events).toEqual(['resource one', 'resource two']));
    await vi.waitFor(() => expect(old!.ended).toBe(true));
    // Leaving the old stream said nothing about the subscriptions.
    expect(old!.requests.filter((request) => (request as DeltaDiscoveryRequest).resourceNamesUnsubscribe.length > 0)).toEqual([]);
  });

  it('survives responses that make no sense', async () => {
    const { server, client } = await start();
    roots(server, 'a', 'one');
    const { events } = follow(client, 'a');
    await vi.waitFor(() => expect(events).toHaveLength(1));
    const stream = server.open[0]!;
    stream.send({ typeUrl: 'type.googleapis.com/nobody.asked', nonce: 'n1', resources: [{ name: 'a', version: '1' }] });
    stream.send({ typeUrl: secretType.typeUrl, nonce: 'n2', resources: [{ name: 'a', version: '5' }, { name: '', version: '5' }, { name: 'stranger', version: '5' }] });
    stream.send({ typeUrl: secretType.typeUrl, nonce: 'n3', resources: [], removedResources: ['stranger', '__proto__'] });
    stream.send({ typeUrl: secretType.typeUrl, nonce: 'n4', resources: ['5', '6'].map((version) => ({ name: 'a', version, resource: { typeUrl: secretType.typeUrl, value: secretBytes('a', version) } })) });
    stream.send({ typeUrl: secretType.typeUrl, nonce: 'n5', resources: [{ name: 'a', version: '6', resource: { typeUrl: secretType.typeUrl, value: secretBytes('other', 'x') } }] });
    await vi.waitFor(() => expect(stream.requests.at(-1)).toMatchObject({ responseNonce: 'n5' }));
    const answers = Object.fromEntries(stream.requests.map((request) => [request.responseNonce, request.errorDetail?.message]));
    expect(answers).not.toHaveProperty('n1');
    expect(answers['n2']).toMatch(/Secret a: has the type \(none\).*a resource without a name/);
    expect(answers['n3']).toBeUndefined();
    expect(answers['n4']).toMatch(/twice/);
    expect(answers['n5']).toMatch(/calls itself "other"/);
    expect(events.filter((event) => event.startsWith('resource'))).toEqual(['resource one', 'resource 5']);
  });

  it('ready() waits for an answer and rejects with the reason', async () => {
    const { server, client } = await start();
    await client.ready();
    server.close();
    const { client: lonely, clock } = await start({ server });
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    await expect(lonely.ready(AbortSignal.abort())).rejects.toThrow(/does not answer/);
    lonely.close();
    await expect(lonely.ready()).rejects.toMatchObject({ code: 'WEFT_CLOSED' });
    expect(follow(lonely, 'a').events[0]).toMatch(/closed/);
    expect(clock.pending).toBe(0);
  });
});
