// From the messages of a route configuration to what happens with requests.
import { packAny } from '@weft/xds-api';
import { UriTemplateMatchConfigSchema } from '@weft/xds-api/filter-rbac';
import { HttpRequestHeaderMatchInputSchema } from '@weft/xds-api/matching';
import { RouteListSchema, RouteSchema, UriTemplateRewriteConfigSchema } from '@weft/xds-api/route';
import { describe, expect, it } from 'vitest';
import { rewrite, redirectReply, RouteTable, type SelectedRoute } from '../route/route-table.js';
import { requestHead, streamInfo } from '../route/test-support.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { problemsOf, route, routes, toCluster, types } from './testing.js';

type Routes = Parameters<typeof routes>[0];
type VirtualHosts = NonNullable<NonNullable<Parameters<typeof routes>[1]>['virtualHosts']>;

const table = (list: Routes, init: Parameters<typeof routes>[1] = {}) => new RouteTable(types.routes.decode(routes(list, init)).resource);
const exact = (value: string) => ({ matchPattern: { case: 'exact', value } }) as const;
const prefix = { case: 'prefix', value: '/' } as const;
const extension = (typedConfig: unknown) => ({ name: 'x', typedConfig }) as never;
const forward = (value: object) => ({ case: 'route', value: { clusterSpecifier: { case: 'cluster', value: 'c' }, ...value } }) as never;
const select = (from: RouteTable, head: RequestHead = requestHead(), info: StreamInfo = streamInfo()) => from.select(head, info);

describe('a route matches by', () => {
  const matches = (match: object, head = requestHead(), info = streamInfo()) => select(table([route({ match: { pathSpecifier: prefix, ...match } })]), head, info) !== undefined;

  it.each<[object, string | undefined, boolean]>([
    [{ stringMatch: exact('a') }, 's=a', true], [{ stringMatch: exact('a') }, 'x=1; s="a"; s=b', true], [{ stringMatch: exact('a') }, 's=b', false], [{ stringMatch: exact('a') }, undefined, false],
    [{ stringMatch: exact('a'), invertMatch: true }, 's=b', true], [{ stringMatch: exact('a'), invertMatch: true }, undefined, true], [{ stringMatch: exact('a'), invertMatch: true }, 's=a', false],
  ])('cookies: %j with %s is %s', (matcher, cookie, expected) => {
    expect(matches({ cookies: [{ name: 's', ...matcher }] }, requestHead('/', cookie === undefined ? {} : { cookie }))).toBe(expected);
  });

  it.each<[object, boolean]>([
    [{ case: 'stringMatch', value: exact('x') }, true], [{ case: 'stringMatch', value: exact('y') }, false], [{ case: 'presentMatch', value: true }, true], [{ case: 'boolMatch', value: true }, false], [{ case: 'nullMatch', value: {} }, false],
    [{ case: 'orMatch', value: { valueMatchers: [{ matchPattern: { case: 'boolMatch', value: true } }, { matchPattern: { case: 'stringMatch', value: exact('x') } }] } }, true],
  ])('dynamic metadata %j: %s', (matchPattern, expected) => {
    const matcher = { filter: 'f', path: [{ segment: { case: 'key', value: 'a' } }, { segment: { case: 'key', value: 'b' } }], value: { matchPattern } };
    const info = streamInfo({ metadata: new Map([['f', { a: { b: 'x' } }]]) });
    expect(matches({ dynamicMetadata: [matcher] }, requestHead(), info)).toBe(expected);
    expect(matches({ dynamicMetadata: [{ ...matcher, invert: true }] }, requestHead(), info)).toBe(!expected);
    expect(matches({ dynamicMetadata: [matcher] })).toBe(false);
  });

  it('numbers and lists in dynamic metadata', () => {
    const by = (matchPattern: object, value: unknown) => matches({ dynamicMetadata: [{ filter: 'f', path: [{ segment: { case: 'key', value: 'a' } }], value: { matchPattern } }] }, requestHead(), streamInfo({ metadata: new Map([['f', { a: value }]]) }));
    const range = { case: 'doubleMatch', value: { matchPattern: { case: 'range', value: { start: 1, end: 2 } } } };
    expect([1, 1.5, 2, 'x'].map((value) => by(range, value))).toEqual([true, true, false, false]);
    const oneOf = { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: { matchPattern: { case: 'boolMatch', value: true } } } } };
    expect([[false, true], [false], true].map((value) => by(oneOf, value))).toEqual([true, false, false]);
  });

  it('filter state', () => {
    const matcher = { filterState: [{ key: 'k', matcher: { case: 'stringMatch', value: exact('v') } }] };
    expect([matches(matcher), matches(matcher, requestHead(), streamInfo({ filterState: new Map([['k', 'v']]) })), matches(matcher, requestHead(), streamInfo({ filterState: new Map([['k', 'w']]) }))]).toEqual([false, true, false]);
  });

  it('whether the client\'s certificate was validated, and CONNECT', () => {
    expect([true, false].map((mutualTls) => matches({ tlsContext: { validated: true } }, requestHead(), streamInfo({ mutualTls })))).toEqual([true, false]);
    const connect = { pathSpecifier: { case: 'connectMatcher', value: {} } };
    expect([matches(connect, requestHead('a:80', {}, { method: 'CONNECT' })), matches(connect)]).toEqual([true, false]);
  });
});

describe('a request is rewritten', () => {
  const rewritten = (init: Routes[number], head: RequestHead) => {
    const info = streamInfo({ routeName: 'r' });
    rewrite(head, select(table([init]), head, info) as SelectedRoute, info);
    return head;
  };
  const template = (pathTemplate: string) => ({ pathSpecifier: { case: 'pathMatchPolicy', value: extension(packAny(UriTemplateMatchConfigSchema, { pathTemplate })) } }) as never;
  const policy = (pathTemplateRewrite: string) => ({ pathRewritePolicy: extension(packAny(UriTemplateRewriteConfigSchema, { pathTemplateRewrite })) });

  it('by the variables of a URI template, with its query', () => {
    const head = rewritten({ match: template('/t/{a}/x/{b=**}'), action: forward(policy('/n/{b}/{a}')) }, requestHead('/t/one/x/two/three?q=1'));
    expect([head.path, head.headers.get('x-envoy-original-path')]).toEqual(['/n/two/three/one?q=1', '/t/one/x/two/three?q=1']);
  });

  it('by formats of path and host', () => {
    const head = rewritten({ match: { pathSpecifier: prefix }, action: forward({ pathRewrite: '/new/%REQ(x-a)%?z=1', hostRewriteSpecifier: { case: 'hostRewrite', value: '%REQ(x-a)%.test' } }) }, requestHead('/hr?q=1', { 'x-a': 'A' }));
    expect([head.path, head.authority, head.headers.get('x-envoy-original-host')]).toEqual(['/new/A?z=1?q=1', 'A.test', 'payments']);
  });

  it('to the host of a weighted cluster, which a header may name', () => {
    const clusters = [{ clusterHeader: 'X-Cluster', weight: 1, hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: 'own' } }];
    const weighted = table([{ match: { pathSpecifier: prefix }, action: forward({ clusterSpecifier: { case: 'weightedClusters', value: { clusters } }, hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: 'route' } }) }]);
    const head = requestHead('/', { 'x-cluster': 'c7' });
    const selected = select(weighted, head) as SelectedRoute;
    rewrite(head, selected, streamInfo());
    expect([selected.cluster, head.authority, select(weighted)?.cluster, [...weighted.clusterNames]]).toEqual(['c7', 'own', undefined, []]);
  });

  it('not by two ways at once, nor by a template without its match', () => {
    expect(problemsOf(types.routes, routes([{ match: template('/{a}'), action: forward({ prefixRewrite: '/x', ...policy('/{a}') }) }]))).toContain('virtual_hosts[0].routes[0].route.path_rewrite_policy: cannot stand beside prefix_rewrite');
    expect(problemsOf(types.routes, routes([{ match: { pathSpecifier: prefix }, action: forward(policy('/{a}')) }]))[0]).toMatch(/path_rewrite_policy needs a route that matches a URI template/);
    expect(problemsOf(types.routes, routes([{ match: template('/{a}'), action: forward(policy('/{b}')) }]))[0]).toMatch(/variable b is not one of/);
  });
});

describe('answers of a route', () => {
  const answer = (action: object, head = requestHead('/a?q=1', { 'x-a': 'A' })) => redirectReply(head, select(table([{ name: 'r', match: { pathSpecifier: prefix }, action: action as never }]), head) as SelectedRoute, streamInfo({ routeName: 'r' }));

  it('have a body with formatters', () => {
    const body = (omitEmptyValues: boolean) => answer({ case: 'directResponse', value: { status: 200, bodyFormat: { format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: '%REQ(x-a)% %ROUTE_NAME% %REQ(none)%' } } }, omitEmptyValues } } }).body;
    expect([body(false), body(true)]).toEqual(['A r -', 'A r ']);
  });

  it('redirect to a path with formatters', () => {
    expect(answer({ case: 'redirect', value: { pathRewriteSpecifier: { case: 'pathRewrite', value: '/p/%REQ(x-a)%' } } }).headers).toEqual([['location', 'http://payments/p/A?q=1']]);
  });
});

describe('mirrors', () => {
  const mirror = (policy: object, headers = {}) => {
    const head = requestHead('/', headers, { authority: 'a:80' });
    const [only] = (select(table([{ match: { pathSpecifier: prefix }, action: forward({ requestMirrorPolicies: [policy] }) }]), head) as SelectedRoute).mirrors;
    return { cluster: only!.cluster(head), head: only!.head(head, streamInfo()), original: head };
  };

  it('get the host with a suffix, as it is, or one of their own', () => {
    expect([{}, { disableShadowHostSuffixAppend: true }, { hostRewriteLiteral: 'own' }].map((more) => mirror({ cluster: 'd', ...more }).head.authority)).toEqual(['a-shadow:80', 'a:80', 'own']);
  });

  it('may be named by a header, and see edited headers', () => {
    const mutations = [{ action: { case: 'append', value: { header: { key: 'x-m', value: '%REQ(x-a)%' } } } }, { action: { case: 'remove', value: 'x-a' } }];
    const { cluster, head, original } = mirror({ clusterHeader: 'x-c', requestHeadersMutations: mutations }, { 'x-c': 'd', 'x-a': 'A' });
    expect([cluster, head.headers.get('x-m'), head.headers.has('x-a'), original.headers.get('x-a')]).toEqual(['d', 'A', false, 'A']);
    expect(mirror({ clusterHeader: 'x-c' }).cluster).toBeUndefined();
  });
});

describe('a virtual host', () => {
  it('that wants TLS redirects plain requests: all, or those of others', () => {
    const of = (requireTls: number) => table([], { virtualHosts: [{ name: 'v', domains: ['*'], requireTls, routes: [route()] }] as VirtualHosts });
    const status = (from: RouteTable, direction: 'inbound' | 'outbound', scheme: 'http' | 'https' = 'http') => {
      const head = requestHead('/a?b', {}, { scheme });
      const selected = select(from, head, streamInfo({ direction })) as SelectedRoute;
      return selected.reply ? redirectReply(head, selected, streamInfo()).headers : selected.cluster;
    };
    const there = [['location', 'https://payments/a?b']];
    expect([status(of(2), 'outbound'), status(of(2), 'outbound', 'https'), status(of(1), 'outbound'), status(of(1), 'inbound'), status(of(0), 'inbound')]).toEqual([there, 'c', 'c', there, 'c']);
  });

  const input = (headerName: string) => extension(packAny(HttpRequestHeaderMatchInputSchema, { headerName }));
  const goTo = (...list: { name: string; path: string }[]) => {
    const [first, ...more] = list.map(({ name, path }) => ({ name, match: { pathSpecifier: { case: 'prefix', value: path } }, action: toCluster }) as const);
    return { onMatch: { case: 'action', value: extension(more.length > 0 ? packAny(RouteListSchema, { routes: [first!, ...more] } as never) : packAny(RouteSchema, first as never)) } };
  };
  const single = (headerName: string, valueMatch: object) => ({ matchType: { case: 'singlePredicate', value: { input: input(headerName), matcher: { case: 'valueMatch', value: valueMatch } } } });
  const withMatcher = (matcher: object) => table([], { virtualHosts: [{ name: 'v', domains: ['*'], matcher: matcher as never }] });
  const nameOf = (from: RouteTable, path: string, headers = {}) => select(from, requestHead(path, headers))?.entry.name;

  it('may find its routes by a tree: actions are final, what finds nothing goes on to on_no_match', () => {
    const nested = { matcherType: { case: 'matcherList', value: { matchers: [{ predicate: single(':path', { matchPattern: { case: 'prefix', value: '/in' } }), onMatch: goTo({ name: 'l1', path: '/in/1' }, { name: 'l2', path: '/in/2' }) }] } } };
    const map = { one: goTo({ name: 'one', path: '/one' }), two: { onMatch: { case: 'matcher', value: nested } } };
    const tree = withMatcher({ matcherType: { case: 'matcherTree', value: { input: input('X-K'), treeType: { case: 'exactMatchMap', value: { map } } } }, onNoMatch: goTo({ name: 'none', path: '/' }) });
    const at = (key: string) => ['/one', '/in/1', '/in/3', '/x'].map((path) => nameOf(tree, path, { 'x-k': key }));
    expect([at('one'), at('two'), at('three')]).toEqual([['one', undefined, undefined, undefined], ['none', 'l1', undefined, 'none'], ['none', 'none', 'none', 'none']]);
    expect([...tree.clusterNames]).toEqual(['c']);
    const why: string[] = [];
    tree.select(requestHead('/in/3', { 'x-k': 'two' }), streamInfo(), { why: (line) => void why.push(line), inVirtualHost() {} });
    tree.select(requestHead('/in/3'), streamInfo(), { why: (line) => void why.push(line), inVirtualHost() {} });
    expect(why).toEqual(['route l1: path prefix "/in/1", the request has "/in/3"', 'route l2: path prefix "/in/2", the request has "/in/3"', 'matcher: header x-k is one of "one", "two", the request has none']);
  });

  it('by lists with and, or and not, and by the longest prefix', () => {
    const list = withMatcher({ matcherType: { case: 'matcherList', value: { matchers: [
      { predicate: { matchType: { case: 'andMatcher', value: { predicate: [single('a', exact('1')), { matchType: { case: 'notMatcher', value: single('b', exact('1')) } }] } } }, onMatch: goTo({ name: 'and', path: '/' }) },
      { predicate: { matchType: { case: 'orMatcher', value: { predicate: [single('a', exact('2')), single('b', { ...exact('X'), ignoreCase: true })] } } }, onMatch: goTo({ name: 'or', path: '/' }) },
    ] } } });
    expect([{ a: '1' }, { a: '1', b: '1' }, { a: '2' }, { b: 'x' }, {}].map((headers) => nameOf(list, '/', headers))).toEqual(['and', undefined, 'or', 'or', undefined]);
    const tree = withMatcher({ matcherType: { case: 'matcherTree', value: { input: input('k'), treeType: { case: 'prefixMatchMap', value: { map: { a: goTo({ name: 'short', path: '/' }), ab: goTo({ name: 'long', path: '/' }) } } } } } });
    expect(['a', 'ab', 'abc', 'b'].map((k) => nameOf(tree, '/', { k }))).toEqual(['short', 'long', 'long', undefined]);
  });

  it('is refused with a matcher beside routes, other inputs or other actions', () => {
    const problems = (matcher: object, list: object[] = []) => problemsOf(types.routes, routes([], { virtualHosts: [{ name: 'v', domains: ['*'], matcher: matcher as never, routes: list as never }] }));
    const list = (entry: object) => ({ matcherType: { case: 'matcherList', value: { matchers: [entry] } } });
    const at = 'virtual_hosts[0].matcher';
    expect(problems(list({ predicate: single('a', exact('1')), onMatch: goTo({ name: 'r', path: '/' }) }), [route()])).toEqual([`${at}: cannot stand beside routes`]);
    expect(problems({})).toEqual([`${at}: one of matcher_list, matcher_tree is required`]);
    const foreign = extension(packAny(UriTemplateMatchConfigSchema, {}));
    expect(problems(list({ predicate: { matchType: { case: 'singlePredicate', value: { input: foreign, matcher: { case: 'valueMatch', value: exact('1') } } } }, onMatch: { onMatch: { case: 'action', value: foreign } } }))).toEqual([
      expect.stringContaining(`${at}.matcher_list.matchers[0].predicate.single_predicate.input.typed_config: must be envoy.type.matcher.v3.HttpRequestHeaderMatchInput`),
      expect.stringContaining(`${at}.matcher_list.matchers[0].on_match.action.typed_config: must be a Route or RouteList`),
    ]);
  });
});
