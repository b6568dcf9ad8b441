import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

/** The cluster of the service. */
export const rateLimitCluster = 'rate-limits';

const name = 'envoy.filters.http.ratelimit';
const limit = (config: Json = {}) => filterOf(name, 'envoy.extensions.filters.http.ratelimit.v3.RateLimit', {
  domain: 'shop', timeout: '5s', rate_limit_service: { transport_api_version: 'V3', grpc_service: { envoy_grpc: { cluster_name: rateLimitCluster } } }, ...config,
});
const perRoute = (config: Json) => ({ [name]: any('envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute', config) });
const byAnswer = { actions: [{ request_headers: { header_name: 'x-answer', descriptor_key: 'answer' } }] };
const generic = (value: string, more: Json = {}) => ({ actions: [{ generic_key: { descriptor_value: value } }], ...more });
const host = { virtualHost: { rate_limits: [byAnswer] } };
const answer = (value: string) => ({ headers: { 'x-answer': value } });
const over = { status: 429, seen: false } as const;

export const rateLimitCases: readonly ConformanceCase[] = [
  {
    name: 'asks about requests that are described, and lets through what is under the limit',
    filters: [limit()],
    ...host,
    exchanges: [
      { ...answer('ok'), expect: { seen: { 'x-from-limits': 'yes' }, headers: { 'x-asked': 'shop; answer=ok', 'x-ratelimit-limit': undefined, 'x-envoy-ratelimited': undefined } } },
      { expect: { seen: { 'x-from-limits': undefined }, headers: { 'x-asked': undefined } } },
    ],
  },
  {
    name: 'refuses what is over the limit',
    filters: [limit({ response_headers_to_add: [{ header: { key: 'x-limited', value: 'yes' } }] })],
    ...host,
    exchanges: [{ ...answer('over'), expect: { ...over, body: 'too much', headers: { 'x-envoy-ratelimited': 'true', 'x-asked': 'shop; answer=over', 'x-limited': 'yes' } } }],
  },
  {
    name: 'has a status of its own, RESOURCE_EXHAUSTED for gRPC, and x-ratelimit headers',
    filters: [limit({ rate_limited_status: { code: 503 }, rate_limited_as_resource_exhausted: true, enable_x_ratelimit_headers: 'DRAFT_VERSION_03', disable_x_envoy_ratelimited_header: true })],
    ...host,
    exchanges: [
      { ...answer('over'), expect: { ...over, status: 503, grpcStatus: 8, headers: { 'x-envoy-ratelimited': undefined, 'x-ratelimit-limit': '5, 10;w=3600;name="first", 5;w=3600', 'x-ratelimit-remaining': '2', 'x-ratelimit-reset': '30' } } },
      { ...answer('ok'), expect: { headers: { 'x-ratelimit-limit': '5, 10;w=3600;name="first", 5;w=3600', 'x-ratelimit-remaining': '2' } } },
    ],
  },
  {
    name: 'lets requests through where the service fails or does not answer in time',
    filters: [limit({ timeout: '0.05s' })],
    ...host,
    exchanges: [{ ...answer('fail'), expect: { seen: {} } }, { ...answer('hang'), expect: { seen: {} } }],
  },
  {
    name: 'refuses them where it should',
    filters: [limit({ timeout: '0.05s', failure_mode_deny: true })],
    ...host,
    exchanges: [{ ...answer('fail'), expect: { status: 500, seen: false } }, { ...answer('hang'), expect: { status: 500, seen: false } }],
  },
  {
    name: 'has a status of its own for failures',
    filters: [limit({ failure_mode_deny: true, status_on_error: { code: 503 } })],
    ...host,
    exchanges: [{ ...answer('fail'), expect: { status: 503, seen: false } }],
  },
  {
    name: 'asks about the descriptors of its stage, with all actions',
    filters: [limit({ stage: 1 })],
    virtualHost: {
      rate_limits: [
        generic('other stage'),
        { stage: 1, actions: [{ remote_address: {} }, { generic_key: { descriptor_key: 'k', descriptor_value: 'v' } }] },
        { stage: 1, actions: [{ header_value_match: { descriptor_value: 'm', headers: [{ name: 'x-m', present_match: true }] } }] },
        { stage: 1, actions: [{ request_headers: { header_name: 'x-none', descriptor_key: 'none' } }] },
      ],
    },
    // Who calls an application in the process has no address.
    sides: ['server'],
    exchanges: [
      { headers: { 'x-m': '1' }, expect: { headers: { 'x-asked': 'shop; remote_address=127.0.0.1 k=v; header_match=m' } } },
      { expect: { headers: { 'x-asked': 'shop; remote_address=127.0.0.1 k=v' } } },
    ],
  },
  {
    name: 'takes another limit from dynamic metadata',
    filters: [filterOf('envoy.filters.http.set_metadata', 'envoy.extensions.filters.http.set_metadata.v3.Config', { metadata: [{ metadata_namespace: 'limits', value: { mine: { requests_per_unit: 42, unit: 'HOUR' }, who: 'ann' } }] }), limit()],
    virtualHost: { rate_limits: [generic('a', { limit: { dynamic_metadata: { metadata_key: { key: 'limits', path: [{ key: 'mine' }] } } } }), { actions: [{ metadata: { descriptor_key: 'who', metadata_key: { key: 'limits', path: [{ key: 'who' }] } } }] }] },
    exchanges: [{ expect: { headers: { 'x-asked': 'shop; generic_key=a (42 HOUR); who=ann' } } }],
  },
  {
    name: 'a route has limits of its own, beside or instead of its virtual host\'s, and another domain',
    sides: ['client'],
    filters: [limit()],
    virtualHost: { rate_limits: [generic('host')] },
    routes: [
      { match: { prefix: '/', headers: [{ name: 'x-own', present_match: true }] }, route: { rate_limits: [generic('route')] } },
      { match: { prefix: '/', headers: [{ name: 'x-both', present_match: true }] }, route: { rate_limits: [generic('route')] }, typed_per_filter_config: perRoute({ vh_rate_limits: 'INCLUDE' }) },
      { match: { prefix: '/', headers: [{ name: 'x-none', present_match: true }] }, typed_per_filter_config: perRoute({ vh_rate_limits: 'IGNORE' }) },
      { typed_per_filter_config: perRoute({ domain: 'other' }) },
    ],
    exchanges: [
      { headers: { 'x-own': '1' }, expect: { headers: { 'x-asked': 'shop; generic_key=route' } } },
      { headers: { 'x-both': '1' }, expect: { headers: { 'x-asked': 'shop; generic_key=route; generic_key=host' } } },
      { headers: { 'x-none': '1' }, expect: { headers: { 'x-asked': undefined } } },
      { expect: { headers: { 'x-asked': 'other; generic_key=host' } } },
    ],
  },
  {
    name: 'is not asked about other kinds of requests',
    filters: [limit({ request_type: 'internal' })],
    ...host,
    exchanges: [{ ...answer('over'), expect: { seen: {} } }],
  },
  {
    name: 'has limits of its own, instead of those of routes, and a route others',
    filters: [limit({ rate_limits: [generic('own')] })],
    virtualHost: { rate_limits: [generic('host')] },
    routes: [{ match: { prefix: '/', headers: [{ name: 'x-route', present_match: true }] }, typed_per_filter_config: perRoute({ rate_limits: [generic('route')] }) }, {}],
    exchanges: [{ expect: { headers: { 'x-asked': 'shop; generic_key=own' } } }, { headers: { 'x-route': '1' }, expect: { headers: { 'x-asked': 'shop; generic_key=route' } } }],
  },
  {
    name: 'counts a request as often as its limit says, and gives hits back',
    filters: [limit({ rate_limits: [generic('three', { hits_addend: { number: 3 } }), generic('text', { hits_addend: { format: '%REQ(x-hits)%' } }), generic('back', { hits_addend: { number: 2, is_negative_hits: true } })] })],
    exchanges: [
      { headers: { 'x-hits': '7' }, expect: { headers: { 'x-asked': 'shop; generic_key=three +3; generic_key=text +7; generic_key=back -2' } } },
      { headers: { 'x-hits': 'many' }, expect: { headers: { 'x-asked': 'shop; generic_key=three +3; generic_key=back -2' } } },
    ],
  },
  {
    name: 'describes by query parameters and fixed limits; values are no formatters',
    protocols: ['http'],
    filters: [limit({
      rate_limits: [
        generic('%REQ(x-v)%'), { actions: [{ generic_key: { descriptor_key: 'd', descriptor_value: '%REQ(x-v)%', default_value: 'none' } }] },
        { actions: [{ query_parameters: { query_parameter_name: 'q', descriptor_key: 'query' } }] }, { actions: [{ generic_key: { descriptor_value: 'g' } }, { query_parameters: { query_parameter_name: 'q', descriptor_key: 'query', skip_if_absent: true } }] },
        { actions: [{ header_value_match: { descriptor_value: '%REQ(x-v)%', default_value: 'matched', headers: [{ name: 'x-m', present_match: true }] } }] },
        generic('fixed', { limit: { rate_limit: { requests_per_unit: 5, unit: 'MINUTE' } } }),
      ],
    })],
    exchanges: [
      { path: '/p?q=a%20b', headers: { 'x-v': 'v', 'x-m': '1' }, expect: { headers: { 'x-asked': 'shop; generic_key=%REQ(x-v)%; d=%REQ(x-v)%; query=a b; generic_key=g query=a b; header_match=%REQ(x-v)%; generic_key=fixed (5 MINUTE)' } } },
      { path: '/p', headers: { 'x-m': '1' }, expect: { headers: { 'x-asked': 'shop; generic_key=%REQ(x-v)%; d=%REQ(x-v)%; generic_key=g; header_match=%REQ(x-v)%; generic_key=fixed (5 MINUTE)' } } },
    ],
  },
  {
    name: 'is enabled and enforced for a part of the requests only, and says when to come back',
    filters: [limit({ filter_enforced: { default_value: { numerator: 0 } } })],
    ...host,
    exchanges: [{ ...answer('over'), expect: { seen: { 'x-from-limits': 'yes' } } }],
  },
  {
    name: 'is not asked where it is not enabled',
    filters: [limit({ filter_enabled: { default_value: { numerator: 0 } } })],
    ...host,
    exchanges: [{ ...answer('over'), expect: { seen: {}, headers: { 'x-asked': undefined } } }],
  },
  {
    name: 'says when to come back',
    filters: [limit({ enable_retry_after_header: true })],
    ...host,
    exchanges: [{ ...answer('over'), expect: { ...over, headers: { 'retry-after': '30' } } }, { ...answer('ok'), expect: { headers: { 'retry-after': undefined } } }],
  },
  {
    name: 'refuses a part of the requests where the service fails',
    filters: [limit({ failure_mode_deny_percent: { default_value: { numerator: 100 } } })],
    ...host,
    exchanges: [{ ...answer('fail'), expect: { status: 500, seen: false } }],
  },
];
