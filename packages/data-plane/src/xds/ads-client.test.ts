import type { DeltaDiscoveryRequest, DiscoveryRequest } from '@weft/xds-api/discovery';
import { SecretSchema } from '@weft/xds-api/tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { secretType } from '../resource/secret.js';
import type { AdsClient } from './ads-client.js';
import type { AdsProtocol } from './protocol.js';
import { closeAll, follow, roots, secretBytes, start } from './testing-client.js';

afterEach(closeAll);

const states = (client: AdsClient) => Object.fromEntries(client.status().resources.map(({ name, state }) => [name, state]));

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
      return found!;
    });
    expect(nack).toMatchObject({ responseNonce: 'x', errorDetail: { code: 3, message: expect.stringMatching(/^Secret a: /) } });
    if (protocol === 'sotw') expect((nack as DiscoveryRequest).versionInfo).not.toBe('7');
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
    const { server, client, errors } = await start({ protocols });
    roots(server, 'a', 'one');
    client.watch(secretType, 'a', { onResource: () => { throw new Error('watcher'); }, onAbsent: () => undefined, onError: () => undefined });
    const { events } = follow(client, 'a');
    await vi.waitFor(() => expect(events).toEqual(['resource one']));
    roots(server, 'a', 'two');
    await vi.waitFor(() => expect(events).toEqual(['resource one', 'resource two']));
    expect(errors).toEqual(['a watcher of a resource failed', 'a watcher of a resource failed']);
  });
});
