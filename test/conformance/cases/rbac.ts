import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const name = 'envoy.filters.http.rbac';
const type = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const anyone = { any: true };
const rules = (action: string, permission: Json, principal: Json = anyone) => ({ action, policies: { p: { permissions: [permission], principals: [principal] } } });
const rbac = (config: Json, more: Json = {}) => filterOf(name, type, config, more);
const header = (key: string, value: string) => ({ header: { name: key, string_match: { exact: value } } });
const denied = { status: 403, body: 'RBAC: access denied', seen: false } as const;
/** Clients do not judge what they send. */
const servers = ['server'] as const;
const asked = (value: string) => ({ headers: { 'x-a': value } });

export const rbacCases: readonly ConformanceCase[] = [
  { name: 'ALLOW lets through what matches', sides: servers, filters: [rbac({ rules: rules('ALLOW', header('x-a', '1')) })], exchanges: [{ ...asked('1'), expect: {} }, { ...asked('2'), expect: denied }, { expect: denied }] },
  { name: 'DENY refuses what matches', sides: servers, filters: [rbac({ rules: rules('DENY', header('x-a', '1')) })], exchanges: [{ ...asked('1'), expect: denied }, { ...asked('2'), expect: {} }] },
  { name: 'no policies: ALLOW refuses everything, DENY nothing', sides: servers, filters: [rbac({ rules: { action: 'DENY' } }), rbac({ rules: { action: 'ALLOW' } }, { name: 'second' })], exchanges: [{ expect: denied }] },
  { name: 'without rules everything is allowed', sides: servers, filters: [rbac({})], exchanges: [{ expect: {} }] },
  { name: 'LOG and shadow rules refuse nothing', sides: servers, filters: [rbac({ rules: rules('LOG', anyone), shadow_rules: rules('DENY', anyone) })], exchanges: [{ expect: {} }] },
  {
    name: 'permissions: and, or, not, paths, methods, ports',
    sides: servers,
    protocols: ['http'],
    filters: [rbac({
      rules: {
        action: 'ALLOW',
        policies: {
          path: { permissions: [{ and_rules: { rules: [{ url_path: { path: { prefix: '/public/' } } }, { not_rule: { url_path: { path: { suffix: '/secret' } } } }] } }], principals: [anyone] },
          either: { permissions: [{ or_rules: { rules: [header('x-a', '1'), header(':method', 'PUT')] } }], principals: [anyone] },
          port: { permissions: [{ destination_port: 1 }], principals: [anyone] },
          range: { permissions: [{ and_rules: { rules: [header('x-range', '1'), { destination_port_range: { start: 1024, end: 65535 } }] } }], principals: [anyone] },
        },
      },
    })],
    exchanges: [
      { path: '/public/a?b', expect: {} },
      { path: '/public/secret', expect: denied },
      { path: '/public/secret?x=/a', expect: denied },
      { path: '/private', expect: denied },
      { path: '/private', ...asked('1'), expect: {} },
      { path: '/private', method: 'PUT', expect: {} },
      { path: '/private', headers: { 'x-range': '1' }, expect: {} },
    ],
  },
  {
    name: 'principals: addresses, headers, and who has no certificate',
    sides: servers,
    filters: [rbac({
      rules: {
        action: 'DENY',
        policies: {
          certificate: { permissions: [header('x-a', 'certificate')], principals: [{ authenticated: {} }] },
          loopback: { permissions: [header('x-a', 'loopback')], principals: [{ direct_remote_ip: { address_prefix: '127.0.0.0', prefix_len: 8 } }] },
          elsewhere: { permissions: [header('x-a', 'elsewhere')], principals: [{ direct_remote_ip: { address_prefix: '10.0.0.0', prefix_len: 8 } }] },
          header: { permissions: [header('x-a', 'header')], principals: [{ not_id: header('x-b', 'friend') }] },
          all: { permissions: [header('x-a', 'all')], principals: [{ and_ids: { ids: [header('x-b', '1'), header('x-c', '1')] } }] },
        },
      },
    })],
    exchanges: [
      { ...asked('certificate'), expect: {} },
      { ...asked('loopback'), expect: denied },
      { ...asked('elsewhere'), expect: {} },
      { ...asked('header'), expect: denied },
      { headers: { 'x-a': 'header', 'x-b': 'friend' }, expect: {} },
      { headers: { 'x-a': 'all', 'x-b': '1' }, expect: {} },
      { headers: { 'x-a': 'all', 'x-b': '1', 'x-c': '1' }, expect: denied },
    ],
  },
  {
    name: 'reads metadata that filters before it wrote',
    sides: servers,
    filters: [
      filterOf('to-metadata', 'envoy.extensions.filters.http.header_to_metadata.v3.Config', { request_rules: [{ header: 'x-role', on_header_present: { metadata_namespace: 'who', key: 'role' } }] }),
      rbac({ rules: rules('ALLOW', anyone, { metadata: { filter: 'who', path: [{ key: 'role' }], value: { string_match: { exact: 'admin' } } } }) }),
    ],
    exchanges: [{ headers: { 'x-role': 'admin' }, expect: {} }, { headers: { 'x-role': 'guest' }, expect: denied }, { expect: denied }],
  },
  {
    name: 'a route has rules of its own, or none',
    sides: servers,
    filters: [rbac({ rules: { action: 'ALLOW' } })],
    routes: [
      { match: { prefix: '/', headers: [{ name: 'x-open', present_match: true }] }, typed_per_filter_config: { [name]: any('envoy.extensions.filters.http.rbac.v3.RBACPerRoute') } },
      { match: { prefix: '/', headers: [{ name: 'x-own', present_match: true }] }, typed_per_filter_config: { [name]: any('envoy.extensions.filters.http.rbac.v3.RBACPerRoute', { rbac: { rules: rules('DENY', header('x-a', '1')) } }) } },
      {},
    ],
    exchanges: [{ headers: { 'x-open': '1' }, expect: {} }, { headers: { 'x-own': '1' }, expect: {} }, { headers: { 'x-own': '1', 'x-a': '1' }, expect: denied }, { expect: denied }],
  },
];
