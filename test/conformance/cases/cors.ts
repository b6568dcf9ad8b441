import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const name = 'envoy.filters.http.cors';
const cors = filterOf(name, 'envoy.extensions.filters.http.cors.v3.Cors');
const policy = (config: Json) => ({ [name]: any('envoy.extensions.filters.http.cors.v3.CorsPolicy', config) });
const origins = { allow_origin_string_match: [{ exact: 'https://a.test' }, { safe_regex: { regex: 'https://.*\\.b\\.test' } }] };
const preflight = (origin: string, more: Record<string, string> = {}) => ({ method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PUT', ...more } });
const nothing = { 'access-control-allow-origin': undefined, 'access-control-allow-methods': undefined, 'access-control-allow-credentials': undefined };

export const corsCases: readonly ConformanceCase[] = [
  {
    name: 'answers preflights of allowed origins',
    protocols: ['http'],
    filters: [cors],
    virtualHost: { typed_per_filter_config: policy({ ...origins, allow_methods: 'GET,PUT', allow_headers: 'x-a', expose_headers: 'x-b', max_age: '600', allow_credentials: true }) },
    exchanges: [
      { ...preflight('https://a.test'), expect: { seen: false, body: '', headers: { 'access-control-allow-origin': 'https://a.test', 'access-control-allow-methods': 'GET,PUT', 'access-control-allow-headers': 'x-a', 'access-control-max-age': '600', 'access-control-allow-credentials': 'true', 'access-control-expose-headers': 'x-b' } } },
      { ...preflight('https://x.b.test'), expect: { seen: false, headers: { 'access-control-allow-origin': 'https://x.b.test' } } },
      { ...preflight('https://evil.test'), expect: { seen: {}, body: 'backend', headers: nothing } },
      { method: 'OPTIONS', headers: { origin: 'https://a.test' }, expect: { seen: {}, headers: { 'access-control-allow-origin': 'https://a.test', 'access-control-expose-headers': 'x-b' } } },
    ],
  },
  {
    name: 'lets allowed origins read responses',
    filters: [cors],
    virtualHost: { typed_per_filter_config: policy({ ...origins, expose_headers: 'x-b', allow_credentials: true }) },
    exchanges: [
      { headers: { origin: 'https://a.test' }, answer: { headers: { 'access-control-allow-origin': '*' } }, expect: { seen: { origin: 'https://a.test' }, headers: { 'access-control-allow-origin': 'https://a.test', 'access-control-allow-credentials': 'true', 'access-control-expose-headers': 'x-b' } } },
      { headers: { origin: 'https://evil.test' }, expect: { headers: nothing } },
      { expect: { headers: nothing } },
    ],
  },
  {
    name: 'refuses preflights of other origins where it should not forward them',
    protocols: ['http'],
    filters: [cors],
    virtualHost: { typed_per_filter_config: policy({ ...origins, allow_methods: 'GET', forward_not_matching_preflights: false }) },
    exchanges: [{ ...preflight('https://evil.test'), expect: { status: 200, seen: false, headers: { 'access-control-allow-origin': undefined, 'access-control-allow-methods': 'GET' } } }],
  },
  {
    name: 'echoes what is asked for where everything is allowed, and private networks',
    protocols: ['http'],
    filters: [cors],
    virtualHost: { typed_per_filter_config: policy({ allow_origin_string_match: [{ safe_regex: { regex: '.*' } }], allow_methods: '*', allow_headers: '*', allow_private_network_access: true }) },
    exchanges: [
      { ...preflight('https://any.test', { 'access-control-request-headers': 'x-c,x-d', 'access-control-request-private-network': 'true' }), expect: { seen: false, headers: { 'access-control-allow-origin': 'https://any.test', 'access-control-allow-methods': 'PUT', 'access-control-allow-headers': 'x-c,x-d', 'access-control-allow-private-network': 'true' } } },
      { ...preflight('https://any.test'), expect: { headers: { 'access-control-allow-private-network': undefined, 'access-control-allow-headers': '' } } },
    ],
  },
  {
    name: 'takes each field from the most specific level that has it',
    protocols: ['http'],
    filters: [cors],
    routeConfiguration: { typed_per_filter_config: policy({ ...origins, allow_methods: 'GET', max_age: '1' }) },
    virtualHost: { typed_per_filter_config: policy({ allow_methods: 'PUT', allow_headers: 'x-host' }) },
    routes: [{ typed_per_filter_config: policy({ allow_headers: 'x-route' }) }],
    exchanges: [{ ...preflight('https://a.test'), expect: { seen: false, headers: { 'access-control-allow-methods': 'PUT', 'access-control-allow-headers': 'x-route', 'access-control-max-age': '1' } } }],
  },
  {
    name: 'can be off, or only look',
    protocols: ['http'],
    filters: [cors],
    routes: [
      { match: { prefix: '/off' }, typed_per_filter_config: policy({ ...origins, filter_enabled: { default_value: { numerator: 0 } } }) },
      { match: { prefix: '/shadow' }, typed_per_filter_config: policy({ ...origins, filter_enabled: { default_value: { numerator: 0 } }, shadow_enabled: { default_value: { numerator: 100 } } }) },
      { match: { prefix: '/disabled' }, typed_per_filter_config: { [name]: any('envoy.config.route.v3.FilterConfig', { disabled: true }) } },
      {},
    ],
    virtualHost: { typed_per_filter_config: policy(origins) },
    exchanges: [
      { ...preflight('https://a.test'), path: '/off', expect: { seen: {}, headers: nothing } },
      { ...preflight('https://a.test'), path: '/shadow', expect: { seen: {}, headers: nothing } },
      { ...preflight('https://a.test'), path: '/disabled', expect: { seen: {}, headers: nothing } },
      { ...preflight('https://a.test'), expect: { seen: false } },
    ],
  },
  {
    name: 'leaves redirects and direct responses alone',
    protocols: ['http'],
    filters: [cors],
    virtualHost: { typed_per_filter_config: policy(origins) },
    routes: [{ direct_response: { status: 204 } }],
    exchanges: [{ headers: { origin: 'https://a.test' }, expect: { status: 204, headers: nothing } }, { ...preflight('https://a.test'), expect: { status: 204, headers: nothing } }],
  },
  {
    name: 'takes the older fields of routes and virtual hosts where no other policy stands',
    sides: ['client'],
    protocols: ['http'],
    filters: [cors],
    virtualHost: { cors: { ...origins, allow_methods: 'GET', max_age: '1' } },
    routes: [
      { match: { prefix: '/', headers: [{ name: 'x-own', present_match: true }] }, route: { cors: { allow_methods: 'PUT' } } },
      { match: { prefix: '/', headers: [{ name: 'x-newer', present_match: true }] }, typed_per_filter_config: policy({ allow_origin_string_match: [{ exact: 'https://n.test' }] }) },
      {},
    ],
    exchanges: [
      { ...preflight('https://a.test'), expect: { seen: false, headers: { 'access-control-allow-origin': 'https://a.test', 'access-control-allow-methods': 'GET', 'access-control-max-age': '1' } } },
      { ...preflight('https://a.test', { 'x-own': '1' }), expect: { seen: false, headers: { 'access-control-allow-methods': 'PUT', 'access-control-max-age': '1' } } },
      { ...preflight('https://n.test', { 'x-newer': '1' }), expect: { seen: false, headers: { 'access-control-allow-origin': 'https://n.test', 'access-control-allow-methods': undefined, 'access-control-max-age': undefined } } },
    ],
  },
];
