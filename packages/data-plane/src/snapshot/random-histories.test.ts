// Whatever order resources come, break, go and come back in: nothing throws, and in the end a client that saw it all is where a client is
// that saw only the end. `WEFT_SEED=N` repeats a run.
import { randomInt } from 'node:crypto';
import { credentials } from '@grpc/grpc-js';
import { FakeClock } from '@weft/spiffe/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { builtinLoadBalancers } from '../load-balancing/builtin.js';
import { ads, assignment, clientListener, cluster, endpoint, locality, route, routes, testTypes } from '../resource/testing.js';
import { ClusterManager } from '../upstream/cluster-manager.js';
import type { Cluster } from '../upstream/cluster.js';
import { AdsClient } from '../xds/ads-client.js';
import type { AdsProtocol } from '../xds/protocol.js';
import { TestAdsServer } from '../xds/testing.js';
import { OutboundListeners } from './outbound-listeners.js';

const types = testTypes();
const opened: { close(): void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0).reverse()) each.close();
});

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const dialled = ['l0:80', 'l1:80', 'l2:80'];

function client(server: TestAdsServer) {
  const clock = new FakeClock();
  const failures: string[] = [];
  const nothing = () => undefined;
  const logger = { debug: nothing, info: nothing, warn: nothing, error: (fields: object, message: string) => void failures.push(`${message} ${JSON.stringify(fields, (_key, value: unknown) => (value instanceof Error ? value.stack : value))}`) };
  const xds = new AdsClient({
    target: { address: server.address, target: server.address, credentials: async () => credentials.createInsecure() },
    node: { id: 'n', cluster: '', locality: { region: '', zone: '', subZone: '' }, metadata: {} }, clock, logger, random: () => 0.5,
  });
  const clusters = new ClusterManager({ xds, clusterType: types.cluster, endpointType: types.endpoints, clock, random: () => 0, logger, loadBalancers: builtinLoadBalancers });
  const listeners = new OutboundListeners({ xds, clusters, clock, random: () => 0, types: { listener: types.client, routeConfiguration: types.routes }, filterContext: { random: () => 0, now: () => clock.now(), setTimeout: (run, ms) => clock.setTimeout(run, ms) }, idleMs: 0 });
  opened.push(xds, clusters, listeners);
  for (const name of dialled) listeners.get(name);
  return { clock, failures, listeners, describe: () => dialled.map((name) => describeListener(listeners, name)) };
}

function describeListener(listeners: OutboundListeners, name: string) {
  const { state, snapshot } = listeners.get(name);
  if (!snapshot) return { name, state };
  const clusters = [...snapshot.clusters].map(([id, found]) => ({ id, timeout: found.config.connectTimeoutMs, hosts: (found as Cluster).hosts.map(({ key, config: { weight } }) => `${key} ${weight}`).sort() }));
  return { name, state, routes: [...snapshot.routes.clusterNames].sort(), clusters: clusters.sort((a, b) => a.id.localeCompare(b.id)), filters: snapshot.maxStreamDurationMs };
}

interface Step {
  typeUrl: string;
  name: string;
  /** Undefined: removed. */
  value: Uint8Array | undefined;
  valid: boolean;
}

function steps(random: () => number, kind: AdsProtocol) {
  const below = (limit: number) => Math.floor(random() * limit);
  const some = (prefix: string, of: number) => Array.from({ length: of }, (_, i) => `${prefix}${i}`).filter(() => random() < 0.5);
  const garbage = (name: string): Uint8Array => [
    () => Uint8Array.from({ length: below(60) }, () => below(256)),
    () => routes([route({ match: { pathSpecifier: { case: 'prefix', value: '' } }, action: { case: undefined } })], { name }),
    () => cluster({ name: `${name}-else` }),
    () => new Uint8Array(0),
  ][below(4)]!();
  const makers = [
    (name: string): Uint8Array => clientListener({ routeSpecifier: { case: 'rds', value: { configSource: ads, routeConfigName: `r${below(3)}` } }, ...(random() < 0.5 && { commonHttpProtocolOptions: { maxStreamDuration: { seconds: BigInt(1 + below(5)) } } }) }, name),
    (name: string): Uint8Array => routes([...some('c', 4), 'c0'].map((to) => route({ match: { pathSpecifier: { case: 'prefix', value: `/${to}` } }, action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: to } } } })), { name }),
    (name: string): Uint8Array => cluster({ name, edsClusterConfig: { edsConfig: ads, serviceName: random() < 0.7 ? '' : `c${below(4)}` }, connectTimeout: { seconds: BigInt(1 + below(9)) } }),
    (name: string): Uint8Array => assignment(random() < 0.2 ? [] : [locality('z', [endpoint(`10.0.0.${1 + below(4)}`), ...(random() < 0.5 ? [endpoint(`10.0.1.${1 + below(4)}`, 80, { loadBalancingWeight: 1 + below(3) })] : [])])], { clusterName: name }),
  ] as const;
  const kinds = [
    { typeUrl: types.client.typeUrl, names: dialled, make: makers[0], removable: true },
    { typeUrl: types.routes.typeUrl, names: ['r0', 'r1', 'r2'], make: makers[1], removable: kind === 'delta' },
    { typeUrl: types.cluster.typeUrl, names: ['c0', 'c1', 'c2', 'c3'], make: makers[2], removable: true },
    // State of the world has no way to say that routes or endpoints are gone.
    { typeUrl: types.endpoints.typeUrl, names: ['c0', 'c1', 'c2', 'c3'], make: makers[3], removable: kind === 'delta' },
  ];
  const one = (spoil: number, remove: number, { typeUrl, names, make, removable } = kinds[below(4)]!, name = names[below(names.length)]!): Step => {
    const roll = random();
    if (removable && roll < remove) return { typeUrl, name, value: undefined, valid: true };
    if (roll > 1 - spoil) return { typeUrl, name, value: garbage(name), valid: false };
    return { typeUrl, name, value: make(name), valid: true };
  };
  // Everything ends valid or removed: of what is broken at the end, who was there before rightly has the last good version.
  return { next: () => one(0.25, 0.15), ending: () => kinds.flatMap((each) => each.names.map((name) => one(0, 0.15, each, name))) };
}

describe.each<AdsProtocol>(['delta', 'sotw'])('%s', (kind) => {
  it('a client that saw a random history ends where a fresh one does', async () => {
    const seed = process.env['WEFT_SEED'] ? Number(process.env['WEFT_SEED']) : randomInt(2 ** 31);
    for (let round = 0; round < 12; round += 1) {
      const random = generator(seed + round);
      const server = await TestAdsServer.start({ protocols: [kind] });
      opened.push(server);
      const old = client(server);
      const { next, ending } = steps(random, kind);
      const take = ({ typeUrl, name, value }: Step) => (value ? server.setBytes(typeUrl, name, value) : server.remove(typeUrl, name));
      for (let i = 0; i < 60; i += 1) {
        take(next());
        if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
        if (random() < 0.05) server.open[0]?.end();
        if (random() < 0.1) old.clock.advance(500);
      }
      for (const step of ending()) take(step);
      const fresh = client(server);
      await vi.waitFor(() => {
        for (const each of [old, fresh]) each.clock.advance(4000);
        expect(old.describe(), `WEFT_SEED=${seed + round}`).toEqual(fresh.describe());
        expect(fresh.describe().map(({ state }) => state), `WEFT_SEED=${seed + round}`).not.toContain('pending');
        expect([...old.failures, ...fresh.failures], `WEFT_SEED=${seed + round}`).toEqual([]);
      }, { timeout: 5000, interval: 10 });
      for (const each of opened.splice(0).reverse()) each.close();
    }
  }, 60_000);
});
