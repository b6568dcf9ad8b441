// Random changes, subscriptions, rejections and slow readers: at rest a client has exactly what it asked for and what exists.
import { create, fromBinary } from '@weft/xds-api/protobuf';
import { NodeSchema } from '@weft/xds-api/core';
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema, DiscoveryRequestSchema, DiscoveryResponseSchema } from '@weft/xds-api/discovery';
import { silentLogger, systemClock } from '@weft/spiffe';
import { afterEach, describe, expect, it } from 'vitest';
import { resourceTypes, typeUrls, type ResourceType } from '../generate/generator.js';
import { ClientStream, type StreamContext } from './client-stream.js';
import { delta } from './delta.js';
import type { CallerIdentity } from './node-auth.js';
import { sotw } from './sotw.js';
import { rawProfile, startDiscovery, type TestServer } from './testing-server.js';
import { defaultLimits } from './admission.js';
import { DiscoveryStats } from './discovery-stats.js';

/** Strangers get no secrets. */
const caller: CallerIdentity = { spiffeId: 'spiffe://cluster.local/ns/default/sa/web', trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'web', notAfter: Date.now() + 3_600_000, certificate: { serialNumber: '01', issuer: 'CN=test' } };
const names = ['a', 'b', 'c', 'd', 'e'];
const ignore = { opened: () => undefined, subscribed: () => undefined, unsubscribed: () => undefined, health: () => undefined, closed: () => undefined };

/** Mulberry32. */
function random(seed: number) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const text = (value: Uint8Array | undefined) => new TextDecoder().decode(value);
/** In state of the world a resource is known by what is in it. */
const valueOf = (name: string, content: string) => `${name}:${content}`;

let server: TestServer;
afterEach(() => server.close());

async function setUp(protocol: 'sotw' | 'delta', userAgentName: string, seed: number) {
  server = await startDiscovery();
  const next = random(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(next() * values.length)]!;
  const exists = new Map<string, string>();
  const wanted = new Map<ResourceType, Set<string>>(resourceTypes.map((type) => [type, new Set()]));
  const has = new Map<string, string>();
  const held: (() => void)[] = [];
  /** Requests arrive in the order in which they were written, some turns later. */
  const wire: unknown[] = [];
  const send = (message: unknown) => {
    wire.push(message);
    setImmediate(() => stream.receive(wire.shift() as never));
  };
  let messages = 0;

  const context: StreamContext = {
    graph: server.graph, profiles: { weft: rawProfile('weft'), grpc: rawProfile('grpc'), envoy: rawProfile('envoy') }, observer: ignore, stats: new DiscoveryStats(), clock: systemClock, logger: silentLogger, limits: defaultLimits,
  };
  const transport = {
    write: (message: Buffer, done: () => void) => {
      messages++;
      if (protocol === 'delta') receiveDelta(message);
      else receiveSotw(message);
      // A third of the time the client is slow to read.
      if (next() < 0.33) held.push(done);
      else setImmediate(done);
    },
    end: (_: unknown, reason: string) => {
      throw new Error(`ended: ${reason}`);
    },
  };
  const stream = new ClientStream<never>(context, (protocol === 'delta' ? delta : sotw) as never, transport, caller, 'test');
  const node = create(NodeSchema, { id: 'n', userAgentName });
  const nonces = new Map<string, string>();
  const typeOf = (url: string) => resourceTypes.find((type) => typeUrls[type] === url)!;

  function receiveDelta(message: Buffer) {
    const response = fromBinary(DeltaDiscoveryResponseSchema, message);
    const type = typeOf(response.typeUrl);
    for (const { name, resource } of response.resources) keep(type, name, text(resource?.value));
    for (const name of response.removedResources) has.delete(`${type}/${name}`);
    answer(create(DeltaDiscoveryRequestSchema, { typeUrl: response.typeUrl, responseNonce: response.nonce }));
  }

  function receiveSotw(message: Buffer) {
    const response = fromBinary(DiscoveryResponseSchema, message);
    const type = typeOf(response.typeUrl);
    nonces.set(type, response.nonce);
    if (type === 'listener' || type === 'cluster') for (const key of has.keys()) if (key.startsWith(`${type}/`)) has.delete(key);
    for (const { value } of response.resources) keep(type, text(value).split(':')[0]!, text(value));
    answer(request(type));
  }

  /** What crossed with an unsubscription is not wanted any more. */
  function keep(type: ResourceType, name: string, value: string) {
    if (wanted.get(type)!.has(name)) has.set(`${type}/${name}`, value);
  }

  function answer(message: { errorDetail?: unknown }) {
    if (next() < 0.2) message.errorDetail = { code: 3, message: 'no', details: [] };
    send(message);
  }

  const request = (type: ResourceType) => create(DiscoveryRequestSchema, { node, typeUrl: typeUrls[type], resourceNames: [...wanted.get(type)!], responseNonce: nonces.get(type) ?? '' });

  function resubscribe() {
    const type = pick(resourceTypes);
    const set = wanted.get(type)!;
    const name = pick(names);
    const had = set.delete(name);
    if (!had) set.add(name);
    if (had) has.delete(`${type}/${name}`);
    if (protocol === 'sotw') return send(request(type));
    send(create(DeltaDiscoveryRequestSchema, { node, typeUrl: typeUrls[type], ...(had ? { resourceNamesUnsubscribe: [name] } : { resourceNamesSubscribe: [name] }) }));
  }

  function change() {
    const changes: Record<string, string | undefined> = {};
    for (let i = 0; i < 1 + next() * 4; i++) {
      const type = pick(resourceTypes);
      const name = pick(names);
      // What state of the world cannot say: that a route, endpoint or secret is gone.
      const removable = protocol === 'delta' || type === 'listener' || type === 'cluster';
      changes[`${type}/${name}`] = removable && next() < 0.3 ? undefined : valueOf(name, String(Math.floor(next() * 1000)));
    }
    for (const [key, value] of Object.entries(changes)) {
      if (value === undefined) exists.delete(key);
      else exists.set(key, value);
    }
    server.set(changes);
  }

  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const settle = async () => {
    for (let quiet = 0, seen = -1; quiet < 6; ) {
      for (const done of held.splice(0)) done();
      await turn();
      quiet = messages === seen && held.length === 0 ? quiet + 1 : 0;
      seen = messages;
    }
  };
  const expected = () => new Map([...wanted].flatMap(([type, set]) => [...set].map((name) => `${type}/${name}`)).flatMap((key) => (exists.has(key) ? [[key, exists.get(key)!] as const] : [])));
  return { next, change, resubscribe, turn, settle, expected, has, held, stream };
}

const sorted = (map: ReadonlyMap<string, string>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

describe.each([['delta', 'weft'], ['delta', 'envoy'], ['sotw', 'gRPC'], ['sotw', 'weft']] as const)('%s of %s', (protocol, userAgent) => {
  const seeds = Array.from({ length: 8 }, () => Math.floor(Math.random() * 2 ** 31));
  it.each(seeds)('converges (seed %i)', async (seed) => {
    const run = await setUp(protocol, userAgent, seed);
    for (let step = 0; step < 300; step++) {
      if (run.next() < 0.5) run.change();
      else run.resubscribe();
      if (run.next() < 0.4) await run.turn();
      if (run.next() < 0.1) run.held.shift()?.();
    }
    await run.settle();
    expect(sorted(run.has), `seed ${seed}`).toEqual(sorted(run.expected()));
    run.stream.close();
  });
});
