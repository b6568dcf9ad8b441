import { status } from '@grpc/grpc-js';
import type { DeltaDiscoveryRequest } from '@weft/xds-api/discovery';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { secretType } from '../resource/secret.js';
import type { SecretConfig } from '../resource/secret-config.js';
import type { ResourceType } from './resource-type.js';
import { closeAll, closeOnEnd, follow, roots, secretBytes, start } from './testing-client.js';
import { TestAdsServer } from './testing.js';

afterEach(closeAll);

/** Secrets whose absence from a response is their end, as that of Listeners and Clusters. */
const fullStateType: ResourceType<SecretConfig> = { ...secretType, fullState: true };

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
    await vi.waitFor(() => expect(a.events[1]).toMatch(/error no configuration: the control plane 127.0.0.1:\d+ does not answer: .*\(since \d{4}-.*Z\)$/));
    expect(clock.pending).toBe(1);
    const b = follow(client, 'b');
    expect(b.events[0]).toMatch(/does not answer/);
    const again = await TestAdsServer.start({ port: server.port });
    closeOnEnd(again);
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

  it('says what it has to say before it ends', async () => {
    const { server, client } = await start();
    roots(server, 'a', 'one');
    const { events, close } = follow(client, 'a');
    await vi.waitFor(() => expect(events).toHaveLength(1));
    const stream = server.open[0]!;
    close();
    await client.flush();
    client.close();
    await vi.waitFor(() => expect(stream.ended).toBe(true));
    expect((stream.requests.at(-1) as DeltaDiscoveryRequest).resourceNamesUnsubscribe).toEqual(['a']);
    await client.flush();
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
