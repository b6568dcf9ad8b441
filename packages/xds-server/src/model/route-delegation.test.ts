import { describe, expect, it } from 'vitest';
import { MeshModel } from './mesh-model.js';
import { routeRule } from './fixture.js';
import type { ChangeSet } from './change-set.js';
import { delegatedRoutes } from './route-delegation.js';
import type { Delegation, HttpMatch, HttpRoute, RouteDelegate, StringMatch } from './route-rule.js';

const match = (over: Partial<HttpMatch> = {}): HttpMatch => ({ name: '', ignoreUriCase: false, headers: [], withoutHeaders: [], queryParams: [], sourceLabels: {}, ...over });
const prefix = (value: string): StringMatch => ({ kind: 'prefix', value });
const exact = (value: string): StringMatch => ({ kind: 'exact', value });
const regex = (value: string): StringMatch => ({ kind: 'regex', value });
const present: StringMatch = { kind: 'present' };
const route = (over: Partial<HttpRoute> = {}): HttpRoute => ({ name: '', matches: [], mirrors: [], action: { kind: 'route', destinations: [{ host: 'b', subset: '', weight: 1 }] }, ...over });
const root = (over: Partial<Delegation> = {}): Delegation => ({ name: '', matches: [], mirrors: [], namespace: 'default', delegate: 'd', at: 0, index: 0, ...over });
const delegate = (...http: HttpRoute[]): RouteDelegate => ({ type: 'route-delegate', key: 'd', namespace: 'default', name: 'd', origin: 'VirtualService default/d', createdAt: 0, exportTo: ['*'], http });
const merge = (rootMatches: HttpMatch[], ...leaf: HttpMatch[]) => delegatedRoutes(root({ matches: rootMatches }), delegate(route({ matches: leaf })));

describe('matches', () => {
  it('are the rule\u2019s where the delegate has none, and the other way round', () => {
    expect(merge([match({ uri: prefix('/a') })]).routes[0]?.matches).toEqual([match({ uri: prefix('/a') })]);
    expect(merge([], match({ uri: prefix('/a') })).routes[0]?.matches).toEqual([match({ uri: prefix('/a') })]);
  });

  it.each<[string, Partial<HttpMatch>, Partial<HttpMatch>, boolean]>([
    ['a longer prefix', { uri: prefix('/a') }, { uri: prefix('/a/b') }, true],
    ['a shorter prefix', { uri: prefix('/a/b') }, { uri: prefix('/a') }, false],
    ['a path under a prefix', { uri: prefix('/a') }, { uri: exact('/a/b') }, true],
    ['a prefix under a path', { uri: exact('/a') }, { uri: prefix('/a') }, false],
    ['the same path', { uri: exact('/a') }, { uri: exact('/a') }, true],
    ['another path', { uri: exact('/a') }, { uri: exact('/b') }, false],
    ['regular expressions in both', { uri: regex('/a') }, { uri: regex('/a') }, false],
    ['a regular expression in one', { uri: prefix('/a') }, { method: regex('GET|PUT') }, true],
    ['another case', { uri: prefix('/a') }, { uri: prefix('/a'), ignoreUriCase: true }, false],
    ['another header', { headers: [{ name: 'x', match: exact('1') }] }, { headers: [{ name: 'y', match: exact('2') }] }, true],
    ['another value of a header', { headers: [{ name: 'x', match: exact('1') }] }, { headers: [{ name: 'x', match: exact('2') }] }, false],
    ['a value of a header that must be there', { headers: [{ name: 'x', match: present }] }, { headers: [{ name: 'x', match: exact('2') }] }, false],
    ['another query parameter', { queryParams: [{ name: 'q', match: prefix('1') }] }, { queryParams: [{ name: 'q', match: exact('2') }] }, false],
    ['another port', { port: 80 }, { port: 81 }, false],
    ['another client', { sourceLabels: { app: 'a' } }, { sourceLabels: { app: 'b' } }, false],
    ['another namespace', { sourceNamespace: 'a' }, { sourceNamespace: 'b' }, false],
  ])('of the delegate: %s', (_, rootMatch, leaf, fits) => {
    const { routes, conflicts } = merge([match(rootMatch)], match(leaf));
    expect([routes.length, conflicts]).toEqual(fits ? [1, []] : [0, [0]]);
  });

  it('hold together: the delegate\u2019s where both name a thing, what only the rule asks for as well', () => {
    const { routes } = merge(
      [match({ name: 'r', uri: prefix('/a'), headers: [{ name: 'x', match: prefix('1') }, { name: 'z', match: present }], withoutHeaders: [{ name: 'w', match: exact('1') }], sourceLabels: { app: 'a' } })],
      match({ name: 'l', uri: exact('/a/b'), headers: [{ name: 'x', match: exact('12') }], withoutHeaders: [{ name: 'w', match: exact('2') }], method: exact('GET') }),
    );
    expect(routes[0]?.matches).toEqual([match({
      name: 'r-l', uri: exact('/a/b'), method: exact('GET'), headers: [{ name: 'z', match: present }, { name: 'x', match: exact('12') }],
      withoutHeaders: [{ name: 'w', match: exact('1') }, { name: 'w', match: exact('2') }], sourceLabels: { app: 'a' },
    })]);
  });

  it('of the delegate must each be within one of the rule\u2019s, or its route is left out', () => {
    const roots = [match({ uri: prefix('/a') }), match({ uri: prefix('/b') })];
    expect(merge(roots, match({ uri: prefix('/a/1') }), match({ uri: prefix('/b/1') })).routes[0]?.matches).toHaveLength(2);
    expect(merge(roots, match({ uri: prefix('/a/1') }), match({ uri: prefix('/c') })).routes).toEqual([]);
    expect(merge(roots, match({ method: exact('GET') })).routes[0]?.matches.map(({ uri }) => uri)).toEqual([prefix('/a'), prefix('/b')]);
  });
});

it('the delegate\u2019s settings win as whole blocks, the rule\u2019s fill the gaps', () => {
  const own = { set: { x: '1' }, add: {}, remove: [] };
  const given = { set: { y: '1' }, add: {}, remove: [] };
  const rule = root({ name: 'r', timeoutMs: 1000, rewrite: { uri: '/r' }, fault: { abort: { percent: 1, httpStatus: 500 } }, requestHeaders: given, responseHeaders: given, mirrors: [{ host: 'm', subset: '', percent: 100 }] });
  const [plain, edited, redirect] = delegatedRoutes(rule, delegate(
    route({ name: 'l' }), route({ timeoutMs: 5, rewrite: { authority: 'a' }, requestHeaders: own, mirrors: [{ host: 'n', subset: '', percent: 1 }] }), route({ action: { kind: 'redirect', status: 301 } }),
  )).routes;
  expect(plain).toMatchObject({ name: 'r-l', timeoutMs: 1000, rewrite: { uri: '/r' }, fault: rule.fault, requestHeaders: given, responseHeaders: given, mirrors: [{ host: 'm' }], from: 'VirtualService default/d: http[0]' });
  expect(edited).toMatchObject({ name: 'r', timeoutMs: 5, rewrite: { authority: 'a' }, requestHeaders: own, mirrors: [{ host: 'n' }] });
  expect(edited).not.toHaveProperty('responseHeaders');
  expect(redirect).not.toHaveProperty('rewrite');
});

it('a rule is read with the delegates it may see, and changes with them', () => {
  const model = new MeshModel();
  const changes: ChangeSet[] = [];
  model.onChange((change) => void changes.push(change));
  const names = () => {
    const read = new Set<string>();
    const rule = model.reader((place) => void read.add(place)).routeRule('a', 'default');
    return { http: rule?.http.map(({ name }) => name), read };
  };
  model.replace('r', [routeRule('r', ['a'], { http: [route({ name: 'own' }), route({ name: 'last' })], delegations: [root({ at: 1 }), root({ at: 1, namespace: 'other' })] })]);
  expect(names().http).toEqual(['own', 'last']);
  expect([...names().read]).toContain('delegate/default/d');
  model.replace('d', [delegate(route({ name: 'x' }), route({ name: 'y' }))]);
  expect([...changes.at(-1)!.dependencies]).toEqual(['delegate/default/d']);
  expect(names().http).toEqual(['own', 'x', 'y', 'last']);
  model.replace('o', [{ ...delegate(route({ name: 'hidden' })), key: 'o', namespace: 'other', exportTo: ['other'] }]);
  expect(names().http).toEqual(['own', 'x', 'y', 'last']);
  model.replace('d', []);
  expect(names().http).toEqual(['own', 'last']);
});
