import { any, type ConformanceCase, type Json } from '../conformance-case.js';

const answer = (status: number, match: Json, name = ''): Json => ({ name, match: { prefix: '/', ...match }, direct_response: { status } });
const extension = (type: string, config: Json): Json => ({ name: 'x', typed_config: any(type, config) });
const template = (path_template: string): Json => ({ prefix: undefined, path_match_policy: extension('envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig', { path_template }) });
const header = (name: string): Json => extension('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', { header_name: name });
const goTo = (...routes: Json[]): Json => ({ action: routes.length === 1 ? extension('envoy.config.route.v3.Route', routes[0]!) : extension('envoy.config.route.v3.RouteList', { routes }) });
const single = (name: string, value_match: Json): Json => ({ single_predicate: { input: header(name), value_match } });
const next = { name: 'next', match: { prefix: '/next' }, request_headers_to_remove: ['x-case-answer'] };
const redirected = (over: Json = {}): Json => ({ name: 'first', match: { prefix: '/first' }, route: { internal_redirect_policy: { redirect_response_codes: [302, 303, 307], ...over } } });
const to = (location: string, status = 302, headers: Record<string, string> = {}) => ({ status, headers: { location, ...headers } });

export const routeMatchCases: readonly ConformanceCase[] = [
  {
    name: 'paths in one spelling',
    protocols: ['http'],
    connectionManager: { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD' },
    routes: [{ match: { path: '/a' } }, { match: { path: '/x/y' } }, { match: { prefix: '/' }, direct_response: { status: 204 } }],
    exchanges: [...(['/a', '/b/../a', '/%61', '//a', '/./a'] as const).map((path) => ({ path, expect: { seenPath: '/a' } })), { path: '/x%2Fy?q=%2F', expect: { seenPath: '/x/y?q=%2F' } }, { path: '/b', expect: { status: 204 } }],
  },
  {
    name: 'paths with escaped slashes are refused, or redirected',
    protocols: ['http'],
    connectionManager: { normalize_path: true, path_with_escaped_slashes_action: 'REJECT_REQUEST' },
    routes: [{ match: { prefix: '/' }, direct_response: { status: 204 } }],
    exchanges: [{ path: '/x%2Fy', expect: { status: 400 } }, { path: '/xy', expect: { status: 204 } }],
  },
  {
    name: 'headers that the listener edits first',
    connectionManager: { early_header_mutation_extensions: [{ name: 'early', typed_config: any('envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation', { mutations: [{ append: { header: { key: 'x-early', value: '%REQ(x-a)%' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } }, { remove: 'x-a' }] }) }] },
    routes: [{ match: { prefix: '/', headers: [{ name: 'x-early', string_match: { exact: 'A' } }] } }, { match: { prefix: '/' }, direct_response: { status: 418 } }],
    exchanges: [{ headers: { 'x-a': 'A' }, expect: { seen: { 'x-early': 'A', 'x-a': undefined } } }, { headers: { 'x-a': 'B' }, expect: { status: 418 } }],
  },
  {
    name: 'authorities without ports',
    connectionManager: { strip_any_host_port: true, strip_trailing_host_dot: true },
    routes: [{ match: { prefix: '/', headers: [{ name: ':authority', string_match: { safe_regex: { regex: '[^:]*' } } }] } }, { match: { prefix: '/' }, direct_response: { status: 418 } }],
    exchanges: [{ only: 'http', expect: { seen: { host: /^[^:]+$/ } } }, { only: 'grpc', expect: {} }],
  },
  {
    name: 'paths without their parameters',
    protocols: ['http'],
    routeConfiguration: { ignore_path_parameters_in_path_matching: true },
    routes: [{ match: { path: '/a' }, direct_response: { status: 201 } }, { match: { path: '/x/y' }, direct_response: { status: 205 } }, { match: { safe_regex: { regex: '/r/[a-z]+' } }, direct_response: { status: 202 } }, { match: { path_separated_prefix: '/p' }, direct_response: { status: 203 } }, { match: { prefix: '/' }, direct_response: { status: 204 } }],
    exchanges: [['/a;x=1', 201], ['/a;x=1/b', 204], ['/a;x/;y', 204], ['/x;a=1/y;b=2', 205], ['/a?q=;', 201], ['/r/ab;v', 202], ['/p;v/c', 203], ['/b;x', 204]].map(([path, status]) => ({ path: path as string, expect: { status: status as number } })),
  },
  {
    name: 'cookies',
    protocols: ['http'],
    routes: [answer(201, { cookies: [{ name: 's', string_match: { exact: 'a' } }] }), answer(202, { cookies: [{ name: 's', string_match: { exact: 'b' }, invert_match: true }] }), answer(203, {})],
    exchanges: [
      { headers: { cookie: 's=a' }, expect: { status: 201 } }, { headers: { cookie: 'x=1; s=a' }, expect: { status: 201 } }, { headers: { cookie: 's=b' }, expect: { status: 203 } },
      { headers: { cookie: 's=c' }, expect: { status: 202 } }, { expect: { status: 202 } },
    ],
  },
  {
    name: 'trees of matchers',
    protocols: ['http'],
    routes: [],
    virtualHost: { matcher: {
      matcher_tree: { input: header('x-k'), exact_match_map: { map: {
        one: goTo(answer(201, { prefix: '/one' })),
        two: { matcher: { matcher_list: { matchers: [{ predicate: single(':path', { prefix: '/in' }), on_match: goTo(answer(202, { prefix: '/in/1' }), answer(203, { prefix: '/in/2' })) }] } } },
      } } },
      on_no_match: goTo(answer(204, {})),
    } },
    exchanges: [['one', '/one', 201], ['one', '/in/1', 404], ['two', '/in/1', 202], ['two', '/in/2', 203], ['two', '/in/3', 404], ['two', '/x', 204], ['three', '/one', 204]].map(([key, path, status]) => ({ path: String(path), headers: { 'x-k': String(key) }, expect: { status: Number(status) } })),
  },
  {
    name: 'lists of matchers',
    protocols: ['http'],
    routes: [],
    virtualHost: { matcher: { matcher_list: { matchers: [
      { predicate: { and_matcher: { predicate: [single('a', { exact: '1' }), { not_matcher: single('b', { exact: '1' }) }] } }, on_match: goTo(answer(201, {})) },
      { predicate: { or_matcher: { predicate: [single('a', { exact: '2' }), single('b', { suffix: 'X', ignore_case: true })] } }, on_match: goTo(answer(202, {})) },
    ] } } },
    exchanges: [
      { headers: { a: '1' }, expect: { status: 201 } }, { headers: { a: '1', b: '1' }, expect: { status: 404 } }, { headers: { a: '2' }, expect: { status: 202 } }, { headers: { b: 'yx' }, expect: { status: 202 } }, { expect: { status: 404 } },
    ],
  },
];

export const rewriteCases: readonly ConformanceCase[] = [
  {
    name: 'by URI templates',
    protocols: ['http'],
    sides: ['client'],
    routes: [{ match: { ...template('/t/{a}/x/{b=**}'), prefix: undefined }, route: { path_rewrite_policy: extension('envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig', { path_template_rewrite: '/n/{b}/{a}' }) } }],
    exchanges: [{ path: '/t/one/x/two/three?q=1', expect: { seenPath: '/n/two/three/one?q=1', seen: { 'x-envoy-original-path': '/t/one/x/two/three?q=1' } } }, { path: '/t/one/y/two', expect: { status: 404, seen: false } }],
  },
  {
    name: 'by formats of path and host',
    protocols: ['http'],
    sides: ['client'],
    routes: [{ match: { prefix: '/' }, route: { path_rewrite: '/new/%REQ(x-a)%?z=1', host_rewrite: '%REQ(x-a)%.test' } }],
    exchanges: [{ path: '/a?q=1', headers: { 'x-a': 'A' }, expect: { seenPath: '/new/A?z=1?q=1', seen: { host: 'A.test', 'x-envoy-original-host': /./ } } }],
  },
  {
    name: 'of answers, by formats',
    protocols: ['http'],
    routes: [
      { name: 'r', match: { prefix: '/body' }, direct_response: { status: 200, body_format: { text_format_source: { inline_string: '%REQ(x-a)% %ROUTE_NAME% %REQ(none)%' } } } },
      { match: { prefix: '/typed' }, direct_response: { status: 503, body_format: { content_type: 'application/problem+json', text_format_source: { inline_string: '{"a":"%REQ(x-a)%"}' } } } },
      { match: { prefix: '/redirect' }, redirect: { path_rewrite: '/p/%REQ(x-a)%', host_redirect: 'other.test' } },
    ],
    exchanges: [
      { path: '/body', headers: { 'x-a': 'A' }, expect: { body: 'A r -' } },
      { path: '/typed', headers: { 'x-a': 'A' }, expect: { status: 503, body: '{"a":"A"}', headers: { 'content-type': 'application/problem+json' } } },
      { path: '/redirect?q=1', headers: { 'x-a': 'A' }, expect: { status: 301, headers: { location: 'http://other.test/p/A?q=1' } } },
    ],
  },
  {
    name: 'formatters of headers',
    protocols: ['http'],
    sides: ['client'],
    virtualHost: { request_headers_to_add: [{ header: { key: 'x-f', value: '%REQ(x-none?x-a):2%|%REQUEST_HEADER(x-a)%|%REQ(x-none)%|%PATH(NQ)%|%PATH(WQ)%|%QUERY_PARAM(q)%|%ROUTE_NAME%|%RESPONSE_CODE%|%RESPONSE_FLAGS%|%DYNAMIC_METADATA(a:b)%|%FILTER_STATE(k)%|%UPSTREAM_REQUEST_ATTEMPT_COUNT%|%%' } }] },
    routes: [{ name: 'r' }],
    exchanges: [{ path: '/a/b?q=1&r=2', headers: { 'x-a': 'value' }, expect: { seen: { 'x-f': 'va|value||/a/b|/a/b?q=1&r=2|1|r|0|-|||1|%' } } }],
  },
  {
    name: 'to TLS',
    protocols: ['http'],
    sides: ['client'],
    virtualHost: { require_tls: 'ALL' },
    exchanges: [{ path: '/a?b', expect: { status: 301, headers: { location: /^https:\/\/.*\/a\?b$/ }, seen: false } }],
  },
];

export const internalRedirectCases: readonly ConformanceCase[] = [
  {
    name: 'are followed with what they say to copy',
    protocols: ['http'],
    sides: ['client'],
    routes: [redirected({ response_headers_to_copy: ['x-copy'] }), next],
    exchanges: [
      { path: '/first', answer: to('http://other.test/next?q=1', 302, { 'x-copy': 'c' }), expect: { body: 'backend', seenPath: '/next?q=1', seen: { host: 'other.test', 'x-copy': 'c', 'x-envoy-original-url': /^http:\/\/.*\/first$/ } } },
      { method: 'POST', body: 'abc', path: '/first', answer: to('http://other.test/next', 307), expect: { seenPath: '/next', seenBody: 'abc' } },
      { method: 'POST', body: 'abc', path: '/first', answer: to('http://other.test/next', 303), expect: { seenPath: '/next', seenBody: '', seen: { 'content-length': undefined } } },
    ],
  },
  {
    name: 'are the caller\'s where the policy does not allow them',
    protocols: ['http'],
    sides: ['client'],
    routes: [redirected({ predicates: [extension('envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig', { allowed_route_names: ['next'] })] }), next, { name: 'other', match: { prefix: '/other' } }],
    exchanges: [
      { path: '/first', answer: to('/next'), expect: { status: 302, headers: { location: '/next' } } },
      { path: '/first', answer: to('http://a.test/next', 301), expect: { status: 301 } },
      { path: '/first', answer: to('https://a.test/next'), expect: { status: 302 } },
      { path: '/first', answer: to('http://a.test/other'), expect: { status: 302 } },
      { path: '/first', answer: to('http://a.test/first'), expect: { status: 302 } },
      { path: '/first', answer: to('http://a.test/none'), expect: { status: 302 } },
      { path: '/first', answer: to('http://a.test/next'), expect: { seenPath: '/next' } },
    ],
  },
  {
    name: 'are counted',
    protocols: ['http'],
    sides: ['client'],
    routes: [redirected({ max_internal_redirects: 2 })],
    exchanges: [{ path: '/first', answer: to('http://a.test/first/again'), expect: { status: 302, seenPath: '/first/again', headers: { location: 'http://a.test/first/again' } } }],
  },
];
