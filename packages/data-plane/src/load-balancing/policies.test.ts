import { create, toBinary } from '@weft/xds-api/protobuf';
import { packAny } from '@weft/xds-api';
import { LeastRequest_SelectionMethod, LeastRequestSchema, LocalityLbConfigSchema, RandomSchema, RoundRobinSchema, WrrLocalitySchema } from '@weft/xds-api/load-balancing';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../route/test-support.js';
import type { Host } from '../upstream/host.js';
import { host } from '../upstream/test-support.js';
import { builtinLoadBalancers, legacyLoadBalancing, resolveLoadBalancing } from './builtin.js';
import { leastRequest, type LeastRequestConfig } from './policy/least-request.js';
import { random } from './policy/random.js';
import { roundRobin } from './policy/round-robin.js';
import type { Picker } from './load-balancer.js';

const names = (picker: Picker, count: number) => Array.from({ length: count }, () => picker.pick({ attempt: 0 })?.config.address);
const hosts = (...addresses: string[]) => addresses.map((address) => host(address));
const weighted = (weights: Record<string, number>) => Object.entries(weights).map(([address, weight]) => host(address, { weight }));
const now = () => 0;
const context = (value = 0) => ({ random: () => value, now, activeRequests: () => 0 });
const flat = { localityWeighted: false };

describe('round robin', () => {
  it('rotates from a random start', () => {
    expect(names(roundRobin.create(flat, context()).update(hosts('a', 'b', 'c')), 4)).toEqual(['a', 'b', 'c', 'a']);
    const starts = new Set<unknown>();
    const random = seededRandom(1);
    for (let i = 0; i < 50; i++) starts.add(names(roundRobin.create(flat, { random, now, activeRequests: () => 0 }).update(hosts('a', 'b', 'c')), 1)[0]);
    expect(starts.size).toBe(3);
  });

  it('goes on where it was after an update', () => {
    const balancer = roundRobin.create(flat, context());
    names(balancer.update(hosts('a', 'b', 'c')), 2);
    expect(names(balancer.update(hosts('a', 'b', 'c')), 2)).toEqual(['c', 'a']);
  });

  it('follows different weights', () => {
    const picks = names(roundRobin.create(flat, context()).update(weighted({ a: 1, b: 3 })), 400);
    expect(picks.filter((name) => name === 'b').length).toBe(300);
  });

  it('has nobody among none', () => {
    expect(roundRobin.create(flat, context()).update([]).pick({ attempt: 0 })).toBeUndefined();
  });
});

describe('random', () => {
  it('is uniform whatever the weights', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const picks = names(random.create(flat, { random: seededRandom(seed), now, activeRequests: () => 0 }).update(weighted({ a: 1, b: 9 })), 20_000);
    expect(Math.abs(picks.filter((name) => name === 'a').length - 10_000), `seed ${seed}`).toBeLessThan(425);
  });
});

describe('least request', () => {
  const config: LeastRequestConfig = { localityWeighted: false, choiceCount: 2, activeRequestBias: 1, fullScan: false };
  const busy = (all: readonly Host[], ...active: number[]) => all.map((one, i) => Object.assign(one, { activeRequests: active[i] ?? 0 }));
  const sequence = (...values: number[]) => ({ random: () => values.shift() ?? 0, now, activeRequests: () => 0 });

  it('takes the less loaded of two random hosts, the earlier of equals', () => {
    const all = busy(hosts('a', 'b', 'c', 'd'), 5, 1, 1, 0);
    expect(names(leastRequest.create(config, sequence(0, 0.3)).update(all), 1)).toEqual(['b']);
    expect(names(leastRequest.create(config, sequence(0.5, 0.3)).update(all), 1)).toEqual(['c']);
    expect(names(leastRequest.create(config, sequence(0, 0)).update(all), 1)).toEqual(['a']);
  });

  it('takes more choices where asked to', () => {
    const all = busy(hosts('a', 'b', 'c', 'd'), 5, 4, 3, 2);
    expect(names(leastRequest.create({ ...config, choiceCount: 4 }, sequence(0, 0.3, 0.5, 0.8)).update(all), 1)).toEqual(['d']);
  });

  it('looks at every host in a full scan, any of equals', () => {
    const all = busy(hosts('a', 'b', 'c'), 1, 0, 0);
    const picks = names(leastRequest.create({ ...config, fullScan: true }, { random: seededRandom(3), now, activeRequests: () => 0 }).update(all), 200);
    expect(new Set(picks)).toEqual(new Set(['b', 'c']));
  });

  it('lowers different weights by what is in flight', () => {
    const all = busy(weighted({ a: 1, b: 3 }), 0, 2);
    const share = (activeRequestBias: number) => names(leastRequest.create({ ...config, activeRequestBias }, context()).update(all), 400).filter((name) => name === 'b').length;
    expect(share(1)).toBe(200);
    expect(share(0)).toBe(300);
  });

  it('reads its message and checks it', () => {
    const parse = (init: Parameters<typeof create<typeof LeastRequestSchema>>[1]) => leastRequest.parse(toBinary(LeastRequestSchema, create(LeastRequestSchema, init)));
    expect(parse({})).toEqual(config);
    expect(parse({ choiceCount: 5, activeRequestBias: { defaultValue: 0.5 }, selectionMethod: LeastRequest_SelectionMethod.FULL_SCAN })).toEqual({ ...config, choiceCount: 5, activeRequestBias: 0.5, fullScan: true });
    expect(() => parse({ choiceCount: 1 })).toThrow(/choice_count/);
    expect(() => parse({ activeRequestBias: { defaultValue: -1 } })).toThrow(/active_request_bias/);
    expect(() => parse({ slowStartConfig: {} })).toThrow(/slow_start_window/);
  });
});

describe('choosing a policy', () => {
  const policy = (typedConfig: ReturnType<typeof packAny>) => ({ typedExtensionConfig: { name: '', typedConfig } });
  const unknown = { typeUrl: 'type.googleapis.com/acme.Custom', value: new Uint8Array() };

  it('takes the first known one', () => {
    expect(resolveLoadBalancing([unknown, packAny(RandomSchema, {}), packAny(RoundRobinSchema, {})])).toEqual({ loadBalancing: { policy: random.name, config: flat }, localityWeighted: false });
  });

  it('unwraps wrr_locality to its child', () => {
    const wrapped = packAny(WrrLocalitySchema, { endpointPickingPolicy: { policies: [policy(packAny(LeastRequestSchema, {}))] } });
    expect(resolveLoadBalancing([wrapped])).toMatchObject({ loadBalancing: { policy: leastRequest.name }, localityWeighted: true });
  });

  it('sees locality weights that the policy itself asks for', () => {
    const localityLbConfig = create(LocalityLbConfigSchema, { localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} } });
    expect(resolveLoadBalancing([packAny(RoundRobinSchema, { localityLbConfig })]).localityWeighted).toBe(true);
  });

  it('fails where none is known, naming them', () => {
    expect(() => resolveLoadBalancing([unknown])).toThrow('no load-balancing policy is known: acme.Custom');
    expect(() => resolveLoadBalancing([])).toThrow(/empty/);
  });

  it('maps the old enumeration to policies that exist', () => {
    for (const name of ['ROUND_ROBIN', 'RANDOM', 'LEAST_REQUEST']) expect(builtinLoadBalancers.map((factory) => factory.name)).toContain(legacyLoadBalancing(name).policy);
    expect(() => legacyLoadBalancing('CLUSTER_PROVIDED')).toThrow(/CLUSTER_PROVIDED is not supported/);
    expect(() => legacyLoadBalancing('LEAST_REQUEST', { choiceCount: 1 })).toThrow(/choice_count/);
  });
});
