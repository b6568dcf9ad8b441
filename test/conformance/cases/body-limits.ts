import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const buffer = (config: Json) => filterOf('buffer', 'envoy.extensions.filters.http.buffer.v3.Buffer', config);
const perRoute = (config: Json) => ({ typed_per_filter_config: { buffer: any('envoy.extensions.filters.http.buffer.v3.BufferPerRoute', config) } });
const post = (length: number, path = '/') => ({ method: 'POST', path, body: 'a'.repeat(length) });

export const bufferCases: readonly ConformanceCase[] = [
  {
    name: 'lets bodies of up to so many bytes through',
    filters: [buffer({ max_request_bytes: 100 })],
    exchanges: [
      { ...post(100), expect: { seenBody: 'a'.repeat(100), seen: { 'content-length': /^100$/ } }, only: 'http' },
      { only: 'http', expect: {} },
      { only: 'grpc', expect: {} },
      // Longer than the chunk that Envoy may read at once.
      { ...post(200_000), expect: { status: 413, body: 'Payload Too Large', seen: false }, only: 'http' },
    ],
  },
  {
    name: 'refuses longer messages',
    protocols: ['grpc'],
    notEnvoy: 'Envoy lets a body through, however long, that comes in one frame with the end of the stream',
    filters: [buffer({ max_request_bytes: 1 })],
    exchanges: [{ expect: { status: 413, grpcStatus: 2, body: 'Payload Too Large', seen: false } }],
  },
  {
    name: 'has other limits on other routes',
    protocols: ['http'],
    filters: [buffer({ max_request_bytes: 10 })],
    routes: [{ match: { prefix: '/off' }, ...perRoute({ disabled: true }) }, { match: { prefix: '/more' }, ...perRoute({ buffer: { max_request_bytes: 1_000_000 } }) }, {}],
    exchanges: [
      { ...post(200_000, '/off'), expect: { seenBody: 'a'.repeat(200_000) } },
      { ...post(200_000, '/more'), expect: { seenBody: 'a'.repeat(200_000) } },
      { ...post(200_000), expect: { status: 413, seen: false } },
    ],
  },
];

const bandwidth = (config: Json) => filterOf('bandwidth', 'envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit', { stat_prefix: 'b', ...config });

export const throttleCases: readonly ConformanceCase[] = [
  {
    name: 'limits the rate of both bodies and loses nothing of them',
    protocols: ['http'],
    filters: [bandwidth({ enable_mode: 'REQUEST_AND_RESPONSE', limit_kbps: 1000, fill_interval: '0.02s' })],
    exchanges: [{ ...post(1_100_000), answer: { length: 50_000 }, expect: { seenBody: 'a'.repeat(1_100_000), body: 'b'.repeat(50_000), headers: { 'content-length': '50000' } } }],
  },
  { name: 'limits calls', protocols: ['grpc'], filters: [bandwidth({ enable_mode: 'REQUEST_AND_RESPONSE', limit_kbps: 1 })], exchanges: [{ expect: {} }, { expect: {} }] },
  {
    name: 'a fault slows responses',
    filters: [filterOf('envoy.filters.http.fault', 'envoy.extensions.filters.http.fault.v3.HTTPFault', { response_rate_limit: { fixed_limit: { limit_kbps: 100 }, percentage: { numerator: 100 } } })],
    exchanges: [{ answer: { length: 20_000 }, expect: { body: 'b'.repeat(20_000) }, only: 'http' }, { expect: {}, only: 'grpc' }],
  },
  {
    name: 'counts calls',
    filters: [filterOf('stats', 'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig', { stats_for_all_methods: true, enable_upstream_stats: true })],
    exchanges: [{ expect: {} }],
  },
  {
    name: 'passes filters that only look',
    filters: [
      filterOf('tap', 'envoy.extensions.filters.http.tap.v3.Tap', {
        common_config: { static_config: { match: { http_response_headers_match: { headers: [{ name: 'x-never', present_match: true }] } }, output_config: { streaming: true, sinks: [{ file_per_tap: { path_prefix: 'never' } }] } } },
      }),
    ],
    exchanges: [{ ...post(100_000), answer: { length: 100_000 }, expect: { seenBody: 'a'.repeat(100_000), seen: { 'content-length': '100000' }, body: 'b'.repeat(100_000), headers: { 'content-length': '100000' } }, only: 'http' }, { expect: {}, only: 'grpc' }],
  },
  {
    name: 'leaves what is not of browsers as it is',
    sides: ['server'],
    filters: [filterOf('grpc_web', 'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb')],
    exchanges: [{ ...post(10), expect: { seenBody: 'a'.repeat(10), headers: { 'content-type': 'text/plain' } }, only: 'http' }, { expect: {}, only: 'grpc' }],
  },
];
