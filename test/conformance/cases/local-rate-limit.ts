import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const name = 'envoy.filters.http.local_ratelimit';
const type = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
const always = { default_value: { numerator: 100 } };
const enforcing = { filter_enabled: always, filter_enforced: always };
// Nothing comes back into a bucket while a test runs.
const bucket = (tokens: number) => ({ max_tokens: tokens, tokens_per_fill: 1, fill_interval: '3600s' });
const limit = (config: Json = {}) => filterOf(name, type, { stat_prefix: 'test', ...config });
const perRoute = (config: Json) => ({ [name]: any(type, { stat_prefix: 'test', ...config }) });
const limited = { status: 429, body: 'local_rate_limited', seen: false } as const;
const byUser = { actions: [{ request_headers: { header_name: 'x-user', descriptor_key: 'user' } }] };
const user = (name: string) => ({ headers: { 'x-user': name } });

export const localRateLimitCases: readonly ConformanceCase[] = [
  {
    name: 'refuses when the bucket is empty',
    filters: [limit({ ...enforcing, token_bucket: bucket(2), response_headers_to_add: [{ header: { key: 'x-limited', value: 'yes' } }], enable_x_ratelimit_headers: 'DRAFT_VERSION_03' })],
    exchanges: [
      { expect: { headers: { 'x-limited': undefined, 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1' } } },
      { expect: { headers: { 'x-ratelimit-remaining': '0' } } },
      { expect: { ...limited, headers: { 'x-limited': 'yes', 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '3600' } } },
    ],
  },
  {
    name: 'has a status of its own, and RESOURCE_EXHAUSTED for gRPC',
    filters: [limit({ ...enforcing, token_bucket: bucket(1), status: { code: 503 }, rate_limited_as_resource_exhausted: true })],
    exchanges: [{ expect: {} }, { expect: { ...limited, status: 503, grpcStatus: 8 } }],
  },
  {
    name: 'takes no status below 400',
    filters: [limit({ ...enforcing, token_bucket: bucket(1), status: { code: 202 } })],
    exchanges: [{ expect: {} }, { expect: limited }],
  },
  {
    name: 'is off by default, and only marks requests where it is not enforced',
    filters: [limit({ token_bucket: bucket(1) }), limit2({ filter_enabled: always, token_bucket: bucket(1), request_headers_to_add_when_not_enforced: [{ header: { key: 'x-over', value: 'yes' } }] })],
    exchanges: [{ expect: { seen: { 'x-over': undefined } } }, { expect: { seen: { 'x-over': 'yes' } } }],
  },
  {
    name: 'a route has a bucket of its own',
    filters: [limit()],
    virtualHost: { typed_per_filter_config: perRoute({ ...enforcing, token_bucket: bucket(2) }) },
    routes: [{ match: { prefix: '/', headers: [{ name: 'x-route', present_match: true }] }, typed_per_filter_config: perRoute({ ...enforcing, token_bucket: bucket(1) }) }, {}],
    exchanges: [
      { headers: { 'x-route': '1' }, expect: {} },
      { headers: { 'x-route': '1' }, expect: limited },
      { expect: {} },
      { expect: {} },
      { expect: limited },
    ],
  },
  {
    name: 'limits by descriptors of the route',
    filters: [limit({ ...enforcing, token_bucket: bucket(5), descriptors: [{ entries: [{ key: 'user', value: 'ann' }], token_bucket: bucket(1) }] })],
    virtualHost: { rate_limits: [byUser] },
    exchanges: [{ ...user('ann'), expect: {} }, { ...user('ann'), expect: limited }, { ...user('bob'), expect: {} }, { expect: {} }, { ...user('bob'), expect: {} }, { expect: {} }, { expect: limited }],
  },
  {
    name: 'does not touch the default bucket for descriptors where it should not',
    filters: [limit({ ...enforcing, token_bucket: bucket(1), always_consume_default_token_bucket: false, descriptors: [{ entries: [{ key: 'user', value: 'ann' }], token_bucket: bucket(2) }] })],
    virtualHost: { rate_limits: [byUser] },
    exchanges: [{ ...user('ann'), expect: {} }, { ...user('ann'), expect: {} }, { ...user('ann'), expect: limited }, { expect: {} }, { expect: limited }],
  },
  {
    name: 'a descriptor without a value stands for any, each with a bucket',
    filters: [limit({ ...enforcing, token_bucket: bucket(100), descriptors: [{ entries: [{ key: 'user' }], token_bucket: bucket(1) }] })],
    virtualHost: { rate_limits: [byUser] },
    exchanges: [{ ...user('ann'), expect: {} }, { ...user('ann'), expect: limited }, { ...user('bob'), expect: {} }, { ...user('bob'), expect: limited }, { expect: {} }, { expect: {} }],
  },
  {
    name: 'describes by every kind of action',
    filters: [limit({
      ...enforcing, token_bucket: bucket(100), stage: 2,
      descriptors: [
        { entries: [{ key: 'generic_key', value: 'g' }, { key: 'header_match', value: 'm' }, { key: 'user', value: 'ann' }], token_bucket: bucket(1) },
        { entries: [{ key: 'named', value: 'n' }, { key: 'plan', value: 'gold' }], token_bucket: bucket(1) },
        { entries: [{ key: 'not', value: 'x' }], token_bucket: bucket(1) },
      ],
    })],
    virtualHost: {
      rate_limits: [
        { stage: 2, actions: [{ generic_key: { descriptor_value: 'g' } }, { header_value_match: { descriptor_value: 'm', headers: [{ name: 'x-user', present_match: true }] } }, { request_headers: { header_name: 'x-none', descriptor_key: 'none', skip_if_absent: true } }, { request_headers: { header_name: 'x-user', descriptor_key: 'user' } }] },
        { stage: 2, actions: [{ generic_key: { descriptor_key: 'named', descriptor_value: 'n' } }, { metadata: { descriptor_key: 'plan', metadata_key: { key: 'billing', path: [{ key: 'plan' }] }, source: 'ROUTE_ENTRY' } }] },
        { stage: 2, actions: [{ header_value_match: { descriptor_key: 'not', descriptor_value: 'x', expect_match: false, headers: [{ name: 'x-free', present_match: true }] } }] },
      ],
    },
    routes: [{ match: { prefix: '/', headers: [{ name: 'x-gold', present_match: true }] }, metadata: { filter_metadata: { billing: { plan: 'gold' } } } }, {}],
    exchanges: [
      { headers: { 'x-user': 'ann', 'x-free': '1' }, expect: {} },
      { headers: { 'x-user': 'ann', 'x-free': '1' }, expect: limited },
      { headers: { 'x-user': 'bob', 'x-free': '1' }, expect: {} },
      { headers: { 'x-gold': '1', 'x-free': '1' }, expect: {} },
      { headers: { 'x-gold': '1', 'x-free': '1' }, expect: limited },
      { headers: { 'x-free': '1' }, expect: {} },
      { expect: {} },
      { expect: limited },
    ],
  },
  {
    name: 'the route leaves the virtual host out, or takes it along',
    sides: ['client'],
    filters: [limit({ ...enforcing, token_bucket: bucket(100), descriptors: ['route', 'host'].map((value) => ({ entries: [{ key: 'generic_key', value }], token_bucket: bucket(value === 'route' ? 3 : 1) })) })],
    virtualHost: { rate_limits: [{ actions: [{ generic_key: { descriptor_value: 'host' } }] }] },
    routes: [
      { match: { prefix: '/', headers: [{ name: 'x-own', present_match: true }] }, route: { rate_limits: [{ actions: [{ generic_key: { descriptor_value: 'route' } }] }] } },
      { match: { prefix: '/', headers: [{ name: 'x-both', present_match: true }] }, route: { include_vh_rate_limits: true, rate_limits: [{ actions: [{ generic_key: { descriptor_value: 'route' } }] }] } },
      {},
    ],
    exchanges: [
      { expect: {} },
      { expect: limited },
      { headers: { 'x-own': '1' }, expect: {} },
      { headers: { 'x-both': '1' }, expect: limited },
      { headers: { 'x-own': '1' }, expect: {} },
      { headers: { 'x-own': '1' }, expect: limited },
    ],
  },
  {
    name: 'matches query parameters',
    protocols: ['http'],
    filters: [limit({ ...enforcing, token_bucket: bucket(100), descriptors: [{ entries: [{ key: 'query_match', value: 'q' }], token_bucket: bucket(1) }] })],
    virtualHost: { rate_limits: [{ actions: [{ query_parameter_value_match: { descriptor_value: 'q', query_parameters: [{ name: 'page', string_match: { exact: '1' } }] } }] }] },
    exchanges: [{ path: '/?page=1', expect: {} }, { path: '/?page=1', expect: limited }, { path: '/?page=2', expect: {} }, { path: '/', expect: {} }],
  },
  {
    name: 'describes requests itself, whatever routes say',
    filters: [limit({ ...enforcing, token_bucket: bucket(100), rate_limits: [byUser], descriptors: [{ entries: [{ key: 'user', value: 'ann' }], token_bucket: bucket(1) }, { entries: [{ key: 'generic_key', value: 'host' }], token_bucket: bucket(1) }] })],
    virtualHost: { rate_limits: [{ actions: [{ generic_key: { descriptor_value: 'host' } }] }] },
    exchanges: [{ ...user('ann'), expect: {} }, { ...user('bob'), expect: {} }, { ...user('bob'), expect: {} }, { ...user('ann'), expect: limited }],
  },
  {
    name: 'counts by connection',
    sides: ['server'],
    // A client of HTTP/1.1 may open another connection for any request.
    protocols: ['grpc'],
    filters: [limit({ ...enforcing, token_bucket: bucket(1), local_rate_limit_per_downstream_connection: true })],
    exchanges: [{ expect: {} }, { expect: limited }],
  },
  {
    name: 'a request may count more than once, by its own limits',
    filters: [limit({ ...enforcing, token_bucket: bucket(100), enable_retry_after_header: true, rate_limits: [{ ...byUser, hits_addend: { format: '%REQ(x-hits)%' } }], descriptors: [{ entries: [{ key: 'user' }], token_bucket: bucket(5) }] })],
    exchanges: [
      { headers: { 'x-user': 'ann', 'x-hits': '4' }, expect: { headers: { 'retry-after': undefined } } },
      { headers: { 'x-user': 'ann', 'x-hits': '2' }, expect: { ...limited, headers: { 'retry-after': '1' } } },
      { headers: { 'x-user': 'ann', 'x-hits': '1' }, expect: {} },
      { headers: { 'x-user': 'ann', 'x-hits': '1' }, expect: { ...limited, headers: { 'retry-after': '3600' } } },
    ],
  },
];

function limit2(config: Json): Json {
  return { ...limit(config), name: 'second' };
}
