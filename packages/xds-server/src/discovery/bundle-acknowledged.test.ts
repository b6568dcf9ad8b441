import { FakeClock } from '@weft/spiffe/testing';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { AdsTestClient, weftNode } from './testing.js';
import { startDiscovery, type TestServer } from './testing-server.js';

const clock = new FakeClock();
let server: TestServer;
let client: AdsTestClient;
beforeEach(async () => {
  server = await startDiscovery({ clock });
  server.set({ 'secret/ROOTCA': 'old' });
  client = new AdsTestClient(server.address);
});
afterEach(async () => {
  client.close();
  await server.close();
});

async function follower(id: string) {
  const stream = client.delta(weftNode({ id }));
  stream.subscribe('secret', 'ROOTCA');
  stream.ack(await stream.next());
  return stream;
}

const settled = async (promise: Promise<unknown>) => Promise.race([promise.then(() => true), new Promise((resolve) => setImmediate(() => resolve(false)))]);

it('has nothing to wait for without subscribers', async () => {
  expect(await server.discovery.bundleAcknowledged(1000)).toEqual([]);
});

it('waits until every subscriber acknowledged the present roots', async () => {
  const [a, b] = [await follower('a'), await follower('b')];
  server.set({ 'secret/ROOTCA': 'new' });
  const acknowledged = server.discovery.bundleAcknowledged(1000);
  const [toA, toB] = [await a.next(), await b.next()];
  a.ack(toA);
  await vi.waitFor(() => expect(server.discovery.streams[0]!.subscriptions.values().next().value!.entries.get('ROOTCA')!.acked).toBe(toA.resources[0]!.version));
  expect(await settled(acknowledged)).toBe(false);
  b.ack(toB);
  expect(await acknowledged).toEqual([]);
});

it('does not wait for a client that left', async () => {
  const a = await follower('a');
  server.set({ 'secret/ROOTCA': 'new' });
  const acknowledged = server.discovery.bundleAcknowledged(1000);
  a.cancel();
  expect(await acknowledged).toEqual([]);
});

it('names who did not acknowledge in time; a rejection is none', async () => {
  const a = await follower('a');
  server.set({ 'secret/ROOTCA': 'new' });
  const acknowledged = server.discovery.bundleAcknowledged(1000);
  a.nack(await a.next(), 'not a certificate');
  await vi.waitFor(() => expect(server.discovery.stats.rejects.size).toBe(1));
  expect(await settled(acknowledged)).toBe(false);
  clock.advance(1000);
  expect(await acknowledged).toEqual(['a']);
});
