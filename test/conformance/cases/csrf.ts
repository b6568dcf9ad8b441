import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const name = 'envoy.filters.http.csrf';
const type = 'envoy.extensions.filters.http.csrf.v3.CsrfPolicy';
const csrf = (config: Json) => filterOf(name, type, config);
const on = { default_value: { numerator: 100 } };
const off = { default_value: { numerator: 0 } };
const post = (headers: Record<string, string>, path = '/') => ({ method: 'POST', path, headers: { host: 'shop.test:8080', ...headers } });
const refused = { status: 403, body: 'Invalid origin', seen: false } as const;

export const csrfCases: readonly ConformanceCase[] = [
  {
    name: 'takes changing requests only from the site itself and listed ones',
    protocols: ['http'],
    // A client's host decides where its request goes.
    sides: ['server'],
    filters: [csrf({ filter_enabled: on, additional_origins: [{ suffix: '.friend.test' }] })],
    exchanges: [
      { ...post({ origin: 'https://shop.test:8080' }), expect: {} },
      { ...post({ origin: 'https://shop.test' }), expect: refused },
      { ...post({ origin: 'https://evil.test' }), expect: refused },
      { ...post({ origin: 'https://a.friend.test' }), expect: {} },
      { ...post({ referer: 'https://shop.test:8080/page?q=1' }), expect: {} },
      { ...post({ referer: 'https://evil.test/page' }), expect: refused },
      { ...post({ origin: 'null', referer: 'http://shop.test:8080/' }), expect: refused },
      { ...post({}), expect: refused },
      { method: 'PUT', expect: refused },
      { method: 'DELETE', expect: refused },
      { method: 'PATCH', expect: refused },
      { method: 'GET', headers: { origin: 'https://evil.test' }, expect: {} },
      { method: 'OPTIONS', headers: { origin: 'https://evil.test' }, expect: {} },
    ],
  },
  {
    name: 'a hidden origin is nobody\'s, whatever matchers say',
    protocols: ['http'],
    filters: [csrf({ filter_enabled: on, additional_origins: [{ safe_regex: { regex: '.*' } }] })],
    exchanges: [{ ...post({ origin: 'null' }), expect: refused }, { ...post({ origin: 'null', referer: 'https://a.test/' }), expect: refused }, { ...post({ origin: 'https://a.test' }), expect: {} }],
  },
  {
    name: 'refuses gRPC calls without an origin',
    protocols: ['grpc'],
    filters: [csrf({ filter_enabled: on })],
    exchanges: [{ expect: refused }],
  },
  {
    name: 'may only look, or be off, by route',
    filters: [csrf({ filter_enabled: on })],
    virtualHost: { typed_per_filter_config: { [name]: any(type, { filter_enabled: off, shadow_enabled: on }) } },
    exchanges: [{ method: 'POST', headers: { origin: 'https://evil.test' }, expect: {} }],
  },
];
