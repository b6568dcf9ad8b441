import { describe, expect, it } from 'vitest';
import { HeaderMap } from '../stream/header-map.js';
import { applyRequestMutations, applyResponseMutations, redirectReply, RouteTable, type SelectedRoute } from './route-table.js';
import { edits, forward, match, prefix, requestHead, route, routeConfiguration, seededRandom, streamInfo, virtualHost } from './test-support.js';
import { xxh64 } from './xxh64.js';
import { noMutations, type RouteEntryConfig, type WeightedClusterConfig } from '../resource/route-config.js';

const select = (table: RouteTable, head = requestHead()) => table.select(head, streamInfo());
const tableOf = (...routes: RouteEntryConfig[]) => new RouteTable(routeConfiguration([virtualHost(['*'], routes)]));

describe('virtual hosts', () => {
  const table = new RouteTable(routeConfiguration([
    virtualHost(['*'], [route('any')]),
    virtualHost(['www.foo.com', 'Mixed.Case:8080', '[::1]:80'], [route('exact')]),
    virtualHost(['*.foo.com', '*-bar.foo.com'], [route('suffix')]),
    virtualHost(['*.com'], [route('short suffix')]),
    virtualHost(['foo.*'], [route('prefix')]),
    virtualHost(['foo.bar.*'], [route('long prefix')]),
  ]));
  it.each([
    ['www.foo.com', 'exact'], ['WWW.Foo.Com', 'exact'], ['mixed.case:8080', 'exact'], ['mixed.case', 'any'], ['[::1]:80', 'exact'],
    ['a.foo.com', 'suffix'], ['a.b.foo.com', 'suffix'], ['.foo.com', 'short suffix'], ['x-bar.foo.com', 'suffix'], ['foo.com', 'short suffix'], ['other.com', 'short suffix'], ['.com', 'any'],
    ['foo.org', 'prefix'], ['foo.bar.org', 'long prefix'], ['foo.', 'any'], ['foo.bar.com', 'short suffix'], ['www.foo.com:80', 'any'],
  ])('%s belongs to %s', (authority, expected) => {
    expect(select(table, requestHead('/', {}, { authority }))?.entry.name).toBe(expected);
  });

  it('ignore the port where the configuration says so', () => {
    const ignoring = new RouteTable(routeConfiguration([virtualHost(['foo.com', '[::1]'], [route('r')])], { ignorePortInHostMatching: true }));
    for (const authority of ['foo.com:99', 'foo.com', '[::1]:80', '[::1]']) expect(select(ignoring, requestHead('/', {}, { authority })), authority).toBeDefined();
  });

  it('a host nobody has finds no route', () => {
    expect(select(new RouteTable(routeConfiguration([virtualHost(['a'], [route('r')])])))).toBeUndefined();
  });

  it.each([[['a', 'A']], [['*.a', '*.A']], [['a.*', 'a.*']], [['*', '*']]])('the same domain twice is an error: %j', ([first = '', second = '']) => {
    expect(() => new RouteTable(routeConfiguration([virtualHost([first], []), virtualHost([second], [])]))).toThrow(/^virtual_hosts\[1\]\.domains\[0\]: domain .* is there twice$/);
  });

  it.each(['a.*.b', '*a*', ''])('the domain "%s" is an error', (domain) => {
    expect(() => new RouteTable(routeConfiguration([virtualHost([domain], [])]))).toThrow(/virtual_hosts\[0\]\.domains\[0\]/);
  });
});

describe('routes', () => {
  it('are tried in order, on the path without query and fragment', () => {
    const table = tableOf(
      route('exact', { match: match({ kind: 'exact', value: '/a', caseSensitive: true }) }),
      route('prefix', { match: match(prefix('/a')) }),
    );
    expect(select(table, requestHead('/a?x=/b#c'))?.entry.name).toBe('exact');
    expect(select(table, requestHead('/a#c?d'))?.entry.name).toBe('exact');
    expect(select(table, requestHead('/ab'))?.entry.name).toBe('prefix');
    expect(select(table, requestHead('/b'))).toBeUndefined();
  });

  it('inherit retries from their virtual host unless they have their own', () => {
    const retryPolicy = { retryOn: ['5xx'], numRetries: 1, retriableStatusCodes: [], retriableHeaders: [], retriableRequestHeaders: [], backoff: { baseMs: 25, maxMs: 250 }, avoidPreviousHosts: false, hostSelectionAttempts: 1 };
    const table = new RouteTable(routeConfiguration([virtualHost(['*'], [
      route('own', { match: match(prefix('/own')), action: forward('c', { retryPolicy: { ...retryPolicy, numRetries: 9 } }) }),
      route('inherited'),
    ], { retryPolicy, includeRequestAttemptCount: true })]));
    expect(select(table, requestHead('/own'))?.retryPolicy?.numRetries).toBe(9);
    expect(select(table)?.retryPolicy?.numRetries).toBe(1);
    expect(select(table)?.includeAttemptCount).toBe(true);
  });

  it('name a wrong field with its path', () => {
    expect(() => tableOf(route('r', { match: match({ kind: 'regex', value: '(' }) }))).toThrow(/^virtual_hosts\[0\]\.routes\[0\]: not a RE2 pattern/);
    expect(() => tableOf(route('r', { mutations: { ...noMutations, request: edits({ x: '%NOPE%' }) } }))).toThrow(/routes\[0\]: unknown substitution %NOPE%/);
  });

  it('answer directly', () => {
    const body = new TextEncoder().encode('gone');
    const table = tableOf(route('r', { action: { kind: 'direct-response', status: 410, body } }));
    expect(redirectReply(requestHead(), select(table) as SelectedRoute, streamInfo())).toMatchObject({ status: 410, body, details: 'direct_response' });
  });

  it.each([201, 304])('say where they are, directly answering %d', (status) => {
    const table = tableOf(route('r', { action: { kind: 'direct-response', status, body: new Uint8Array() } }));
    expect(redirectReply(requestHead('/a?b'), select(table) as SelectedRoute, streamInfo()).headers).toEqual([['location', 'http://payments/a?b']]);
  });

  it('take the filter override of the most specific level', () => {
    const of = (value: string, ...names: string[]) => new Map(names.map((name) => [name, value]));
    const weighted = (name: string, filterOverrides = new Map()): WeightedClusterConfig => ({ name, weight: 1, mutations: noMutations, filterOverrides });
    const table = new RouteTable(routeConfiguration([virtualHost(['*'], [
      route('r', { filterOverrides: of('route', 'a', 'b'), action: forward({ kind: 'weighted', totalWeight: 1, headerName: '', clusters: [weighted('c', of('cluster', 'a'))] }) }),
    ], { filterOverrides: of('host', 'a', 'b', 'c') })], { filterOverrides: of('config', 'a', 'b', 'c', 'd') }));
    const overrides = select(table)?.filterOverrides;
    expect(['a', 'b', 'c', 'd', 'e'].map((name) => overrides?.(name))).toEqual(['cluster', 'route', 'host', 'config', undefined]);
  });
});

describe('clusters of a route', () => {
  const weighted = (weights: Record<string, number>, headerName = ''): RouteEntryConfig =>
    route('r', { action: forward({ kind: 'weighted', totalWeight: 0, headerName, clusters: Object.entries(weights).map(([name, weight]) => ({ name, weight, mutations: noMutations, filterOverrides: new Map() })) }) });

  it('are drawn by weight', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const table = new RouteTable(routeConfiguration([virtualHost(['*'], [weighted({ a: 1, zero: 0, b: 9 })])]), { random: seededRandom(seed) });
    const counts: Record<string, number> = {};
    for (let i = 0; i < 50_000; i++) {
      const name = select(table)?.cluster as string;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    // Six standard deviations of a binomial of 50,000 at 0.1: 402.
    expect(Math.abs((counts['a'] ?? 0) - 5000), `seed ${seed}`).toBeLessThan(403);
    expect(counts['zero'], `seed ${seed}`).toBeUndefined();
  });

  it('are walked along a number from a header, where it is a uint64', () => {
    const table = new RouteTable(routeConfiguration([virtualHost(['*'], [weighted({ a: 2, b: 3 }, 'X-Number')])]), { random: () => 0 });
    const by = (value: string) => select(table, requestHead('/', { 'x-number': value }))?.cluster;
    expect(['0', '1', '2', '4', '5', '18446744073709551615', 'nonsense', '-1'].map(by)).toEqual(['a', 'a', 'b', 'b', 'a', 'a', 'a', 'a']);
  });

  it('are walked along the hash of the route, where it says so', () => {
    const byHash = route('r', { action: forward({ kind: 'weighted', totalWeight: 0, headerName: '', useHash: true, clusters: ['a', 'b'].map((name) => ({ name, weight: 1, mutations: noMutations, filterOverrides: new Map() })) }, { hashPolicies: [{ kind: 'header', name: 'x-user', terminal: false }] }) });
    const of = (user: string) => select(tableOf(byHash), requestHead('/', { 'x-user': user }))?.cluster;
    const users = Array.from({ length: 40 }, (_, i) => `user ${i}`);
    expect(users.map(of)).toEqual(users.map((user) => (xxh64(user) % 2n === 0n ? 'a' : 'b')));
  });

  it('must have weight', () => {
    expect(() => tableOf(weighted({ a: 0 }))).toThrow(/weights of weighted_clusters must sum to 1/);
  });

  it('may come from a header, and are missing without it', () => {
    const table = tableOf(route('r', { action: forward({ kind: 'header', header: 'X-Cluster' }) }));
    expect(select(table, requestHead('/', { 'x-cluster': 'c7' }))?.cluster).toBe('c7');
    expect(select(table)?.cluster).toBeUndefined();
    expect(select(table, requestHead('/', { 'x-cluster': 'c7' }))?.filterOverrides).toBe(select(table)?.filterOverrides);
  });

  it('are all known beforehand, mirrors too, without those of weight 0', () => {
    const table = tableOf(weighted({ a: 1, zero: 0 }), route('b', { action: forward('b', { mirrors: [{ cluster: 'mirror' }] }) }));
    expect([...table.clusterNames]).toEqual(['a', 'b', 'mirror']);
  });
});

describe('header edits', () => {
  const levels = (mostSpecificHeaderMutationsWins: boolean) => {
    const set = (value: string) => ({ request: edits({ x: value }, [], 'overwrite-if-exists-or-add'), response: edits({ y: value }) });
    return new RouteTable(routeConfiguration([virtualHost(['*'], [
      route('r', { mutations: set('route'), action: forward({ kind: 'weighted', totalWeight: 1, headerName: '', clusters: [{ name: 'c', weight: 1, mutations: set('cluster'), filterOverrides: new Map() }] }) }),
    ], { mutations: set('host') })], { mutations: set('config'), mostSpecificHeaderMutationsWins }));
  };

  it.each([[false, 'config', ['cluster', 'route', 'host', 'config']], [true, 'route', ['cluster', 'config', 'host', 'route']]])('of all levels: with mostSpecificWins %s the last to write is %s', (wins, last, order) => {
    const table = levels(wins);
    const head = requestHead();
    const selected = select(table, head) as SelectedRoute;
    applyRequestMutations(head, selected, streamInfo());
    expect(head.headers.get('x')).toBe(last);
    const response = { status: 200, headers: new HeaderMap() };
    applyResponseMutations(response, selected, streamInfo(), head);
    expect(response.headers.all('y')).toEqual(order);
  });
});
