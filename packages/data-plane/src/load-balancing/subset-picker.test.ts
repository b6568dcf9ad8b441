import { describe, expect, it } from 'vitest';
import { Host } from '../upstream/host.js';
import { cluster, clusterConfig, endpoint, endpoints, locality } from '../upstream/test-support.js';
import { legacyLoadBalancing } from './builtin.js';
import { subsetConfig, type SubsetMessage } from './subset-config.js';

const labelled = (address: string, labels: Record<string, unknown>, more = {}) => endpoint(address, { metadata: { 'envoy.lb': labels }, ...more });
const hosts = [labelled('a1', { version: '1', stage: 'prod' }), labelled('a2', { version: '1', stage: 'dev' }), labelled('b1', { version: '2', stage: 'prod' }), labelled('n', {})];
const message = (more: Partial<SubsetMessage>): SubsetMessage => ({ fallbackPolicy: 0, subsetSelectors: [selector(['version']), selector(['stage', 'version'])], localityWeightAware: false, scaleLocalityWeight: false, panicModeAny: false, listAsAny: false, metadataFallbackPolicy: 0, ...more });
const selector = (keys: string[], more: Partial<SubsetMessage['subsetSelectors'][number]> = {}) => ({ keys, singleHostPerSubset: false, fallbackPolicy: 0, fallbackKeysSubset: [], ...more });
const of = (more: Partial<SubsetMessage> = {}, list = hosts) => cluster({ subsets: subsetConfig(message(more))! }, endpoints([locality(list)]));
/** Every host that comes in ten picks. */
function reached(from: ReturnType<typeof of>, metadataMatch?: Record<string, unknown>): string[] {
  const found = Array.from({ length: 10 }, () => from.choose({ attempt: 0, priority: 'default', ...(metadataMatch && { metadataMatch }) }));
  return [...new Set(found.map((host) => (host instanceof Host ? host.config.address : host.details)))].sort();
}
const nobody = ['no_healthy_upstream'];
const everybody = ['a1', 'a2', 'b1', 'n'];

describe('subsets of hosts', () => {
  it('are chosen by the metadata of the route, with exactly the keys of a selector', () => {
    expect(reached(of(), { version: '1' })).toEqual(['a1', 'a2']);
    expect(reached(of(), { version: '1', stage: 'dev' })).toEqual(['a2']);
    expect(reached(of(), { stage: 'dev' })).toEqual(nobody);
    expect(reached(of(), { version: 1 })).toEqual(nobody);
    expect(reached(of())).toEqual(nobody);
  });

  it('leave keys aside that no selector has, where that is allowed', () => {
    const metadata = { version: '2', other: 'x' };
    expect(reached(of(), metadata)).toEqual(nobody);
    expect(reached(of({ allowRedundantKeys: true }), metadata)).toEqual(['b1']);
  });

  it('fall back to any endpoint, to the default subset, or to nobody', () => {
    expect(reached(of({ fallbackPolicy: 1 }), { version: '9' })).toEqual(everybody);
    expect(reached(of({ fallbackPolicy: 2, defaultSubset: { stage: 'prod' } }), { version: '9' })).toEqual(['a1', 'b1']);
    expect(reached(of({ fallbackPolicy: 2, defaultSubset: { stage: 'none' } }), { version: '9' })).toEqual(nobody);
    expect(reached(of({ fallbackPolicy: 2, defaultSubset: { stage: 'none' }, panicModeAny: true }), { version: '9' })).toEqual(everybody);
  });

  it('have a fallback of their own', () => {
    const selectors = (fallbackPolicy: number, more = {}) => ({ fallbackPolicy: 1, subsetSelectors: [selector(['version']), selector(['stage', 'version'], { fallbackPolicy, ...more })] });
    const metadata = { version: '2', stage: 'dev' };
    expect(reached(of(selectors(0)), metadata)).toEqual(everybody);
    expect(reached(of(selectors(1)), metadata)).toEqual(nobody);
    expect(reached(of({ ...selectors(3), defaultSubset: { stage: 'dev' } }), metadata)).toEqual(['a2']);
    expect(reached(of(selectors(4, { fallbackKeysSubset: ['version'] })), metadata)).toEqual(['b1']);
  });

  it('have none of their own where a longer selector with the same first keys comes before, as in Envoy', () => {
    const short = selector(['stage'], { fallbackPolicy: 1 });
    const long = selector(['stage', 'version']);
    expect(reached(of({ fallbackPolicy: 1, subsetSelectors: [short, long] }), { stage: 'none' })).toEqual(nobody);
    expect(reached(of({ fallbackPolicy: 1, subsetSelectors: [long, short] }), { stage: 'none' })).toEqual(everybody);
  });

  it('take each item of a list where they are told to', () => {
    const list = [labelled('x', { version: ['1', '2'] }), labelled('y', { version: '2' })];
    expect(reached(of({}, list), { version: '1' })).toEqual(nobody);
    expect(reached(of({ listAsAny: true }, list), { version: '1' })).toEqual(['x']);
    expect(reached(of({ listAsAny: true }, list), { version: '2' })).toEqual(['x', 'y']);
  });

  it('try the metadata of a fallback list in turn', () => {
    const metadata = { version: '9', fallback_list: [{ version: '8' }, { version: '2', stage: 'prod' }, { version: '1' }] };
    expect(reached(of({ metadataFallbackPolicy: 1 }), metadata)).toEqual(['b1']);
    expect(reached(of({ metadataFallbackPolicy: 1 }), { version: '1', fallback_list: [] })).toEqual(['a1', 'a2']);
    expect(reached(of(), metadata)).toEqual(nobody);
  });

  it('of a single host take it whatever its health, and only one', () => {
    const list = [labelled('x', { id: '1' }, { health: 'unhealthy' }), labelled('y', { id: '1' }), labelled('z', { id: '2' })];
    expect(reached(of({ subsetSelectors: [selector(['id'], { singleHostPerSubset: true })] }, list), { id: '1' })).toEqual(['x']);
  });

  it('have panic and priorities of their own', () => {
    const list = endpoints([locality([labelled('x', { version: '1' }, { health: 'unhealthy' }), labelled('y', { version: '2' })]), locality([labelled('z', { version: '1' })], { priority: 1 })]);
    const from = cluster({ subsets: subsetConfig(message({}))! }, list);
    expect(reached(from, { version: '1' })).toEqual(['z']);
    expect(reached(from, { version: '2' })).toEqual(['y']);
  });

  it('look at locality weights only where they are told to, scaled by what is left of the locality', () => {
    const east = [labelled('e', { version: '1' }), labelled('e2', { version: '2' })];
    const list = endpoints([locality(east, { region: 'east', weight: 8 }), locality([labelled('w', { version: '1' })], { region: 'west', weight: 1 })]);
    const share = (more: Partial<SubsetMessage>) => {
      const from = cluster({ localityWeighted: true, subsets: subsetConfig(message(more))! }, list);
      const metadataMatch = { version: '1' };
      return Array.from({ length: 180 }, () => (from.choose({ attempt: 0, priority: 'default', metadataMatch }) as Host).config.address).filter((address) => address === 'e').length / 180;
    };
    expect(share({})).toBeCloseTo(0.5, 1);
    expect(share({ localityWeightAware: true })).toBeCloseTo(8 / 9, 1);
    expect(share({ localityWeightAware: true, scaleLocalityWeight: true })).toBeCloseTo(4 / 5, 1);
  });

  it('follow endpoints that change, and go on with their rotation', () => {
    const from = of({ fallbackPolicy: 1 });
    const metadata = { version: '1' };
    const next = () => (from.choose({ attempt: 0, priority: 'default', metadataMatch: metadata }) as Host).config.address;
    const first = next();
    from.setEndpoints(endpoints([locality([...hosts])]));
    expect(next()).not.toBe(first);
    from.setEndpoints(endpoints([locality([labelled('c', { version: '1' })])]));
    expect(reached(from, metadata)).toEqual(['c']);
    from.update(clusterConfig({ loadBalancing: legacyLoadBalancing('ROUND_ROBIN') }));
    expect(reached(from, metadata)).toEqual(['c']);
  });
});
