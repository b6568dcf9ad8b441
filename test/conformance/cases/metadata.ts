import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const set = (config: Json, name = 'envoy.filters.http.set_metadata') => filterOf(name, 'envoy.extensions.filters.http.set_metadata.v3.Config', config);
const toMetadata = (config: Json, name = 'envoy.filters.http.header_to_metadata') => filterOf(name, 'envoy.extensions.filters.http.header_to_metadata.v3.Config', config);
/** A header for each value of metadata, so that the backend sees it. */
const show = (values: Readonly<Record<string, string>>) => filterOf('envoy.filters.http.header_mutation', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
  mutations: { request_mutations: Object.entries(values).map(([key, path]) => ({ append: { header: { key, value: `%DYNAMIC_METADATA(${path})%` } } })) },
});

export const metadataCases: readonly ConformanceCase[] = [
  {
    name: 'set: writes, and merges where it may overwrite',
    filters: [
      set({ metadata_namespace: 'old', value: { a: 'deprecated' } }, 'older'),
      set({ metadata: [{ metadata_namespace: 'new', value: { a: '1', nested: { b: 'x', list: ['p'] } } }, { metadata_namespace: 'new', value: { a: 'ignored' } }, { metadata_namespace: 'new', allow_overwrite: true, value: { c: '3', nested: { d: 'y', list: ['q'] } } }] }),
      show({ 'x-old': 'old:a', 'x-a': 'new:a', 'x-b': 'new:nested:b', 'x-c': 'new:c', 'x-d': 'new:nested:d', 'x-list': 'new:nested:list' }),
    ],
    exchanges: [{ expect: { seen: { 'x-old': 'deprecated', 'x-a': '1', 'x-b': 'x', 'x-c': '3', 'x-d': 'y', 'x-list': '["p","q"]' } } }],
  },
  {
    name: 'headers: become metadata',
    filters: [
      toMetadata({ request_rules: [
        { header: 'X-User', on_header_present: { metadata_namespace: 'n', key: 'user' }, on_header_missing: { metadata_namespace: 'n', key: 'user', value: 'nobody' }, remove: true },
        { header: 'x-number', on_header_present: { metadata_namespace: 'n', key: 'number', type: 'NUMBER' } },
        { header: 'x-encoded', on_header_present: { metadata_namespace: 'n', key: 'encoded', encode: 'BASE64' } },
        { header: 'x-path', on_header_present: { metadata_namespace: 'n', key: 'first', regex_value_rewrite: { pattern: { regex: '^/([^/]+)/?.*$' }, substitution: '\\1' } } },
        { header: 'x-fixed', on_header_present: { key: 'fixed', value: 'f' } },
        { cookie: 'session', on_header_present: { metadata_namespace: 'n', key: 'session' } },
      ] }),
      show({ 'x-m-user': 'n:user', 'x-m-number': 'n:number', 'x-m-encoded': 'n:encoded', 'x-m-first': 'n:first', 'x-m-fixed': 'envoy.filters.http.header_to_metadata:fixed', 'x-m-session': 'n:session' }),
    ],
    exchanges: [
      {
        headers: { 'x-user': 'ann', 'x-number': '4.5', 'x-encoded': 'aGVsbG8=', 'x-path': '/shop/items', 'x-fixed': 'any', cookie: 'a=1; session=s1' },
        expect: { seen: { 'x-user': undefined, 'x-m-user': 'ann', 'x-m-number': '4.5', 'x-m-encoded': 'hello', 'x-m-first': 'shop', 'x-m-fixed': 'f', 'x-m-session': 's1' } },
      },
      { headers: { 'x-number': 'four', 'x-encoded': '%' }, expect: { seen: { 'x-m-user': 'nobody', 'x-m-number': undefined, 'x-m-encoded': undefined, 'x-m-session': undefined } } },
    ],
  },
  {
    name: 'headers: what stands before them on the wire counts as one',
    protocols: ['http'],
    filters: [toMetadata({ request_rules: [':path', ':method', ':authority'].map((header) => ({ header, on_header_present: { metadata_namespace: 'n', key: header.slice(1) } })) }), show({ 'x-m-path': 'n:path', 'x-m-method': 'n:method' })],
    exchanges: [{ path: '/shop?q=1', expect: { seen: { 'x-m-path': '/shop?q=1', 'x-m-method': 'GET' } } }],
  },
  {
    name: 'headers: a route has rules of its own',
    filters: [toMetadata({}), show({ 'x-m': 'n:a' })],
    routes: [{ typed_per_filter_config: { 'envoy.filters.http.header_to_metadata': any('envoy.extensions.filters.http.header_to_metadata.v3.Config', { request_rules: [{ header: 'x-a', on_header_present: { metadata_namespace: 'n', key: 'a' } }] }) } }],
    exchanges: [{ headers: { 'x-a': '1' }, expect: { seen: { 'x-m': '1' } } }],
  },
];
