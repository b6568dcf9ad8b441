import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const name = 'envoy.filters.http.header_mutation';
const mutation = (mutations: Json, more: Json = {}) => filterOf(name, 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', { mutations, ...more });
const perRoute = (mutations: Json) => ({ [name]: any('envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute', { mutations }) });
const append = (key: string, value: string, action = 'APPEND_IF_EXISTS_OR_ADD') => ({ append: { header: { key, value }, append_action: action } });
const level = (value: string) => perRoute({ request_mutations: [append('x-level', value, 'OVERWRITE_IF_EXISTS_OR_ADD')], response_mutations: [append('x-level', value, 'OVERWRITE_IF_EXISTS_OR_ADD')] });
const levels = { routeConfiguration: { typed_per_filter_config: level('table') }, virtualHost: { typed_per_filter_config: level('host') }, routes: [{ typed_per_filter_config: level('route') }] };

export const headerMutationCases: readonly ConformanceCase[] = [
  {
    name: 'edits headers one after the other',
    filters: [mutation({
      request_mutations: [{ remove: 'x-gone' }, append('x-new', '1'), append('x-both', 'b'), append('x-copy', '%REQ(x-new)%'), append('x-set', 's', 'OVERWRITE_IF_EXISTS_OR_ADD'), append('x-absent', 'a', 'ADD_IF_ABSENT'), append('x-only', 'o', 'OVERWRITE_IF_EXISTS'), append('x-twice', '1'), { remove: 'x-twice' }, append('x-twice', '2')],
      response_mutations: [{ remove: 'x-server' }, append('x-request', '%REQ(x-new)%'), append('x-answer', '%RESP(x-old)%')],
    })],
    exchanges: [{
      headers: { 'x-gone': '1', 'x-both': 'a', 'x-set': 'before', 'x-absent': 'there' },
      answer: { headers: { 'x-server': 'secret', 'x-old': 'o' } },
      expect: {
        seen: { 'x-gone': undefined, 'x-new': '1', 'x-both': 'a,b', 'x-copy': '1', 'x-set': 's', 'x-absent': 'there', 'x-only': undefined, 'x-twice': '2' },
        headers: { 'x-server': undefined, 'x-request': '1', 'x-answer': 'o', 'x-old': 'o' },
      },
    }],
  },
  {
    name: 'applies every level; the least specific wins',
    filters: [mutation({ request_mutations: [append('x-level', 'filter', 'OVERWRITE_IF_EXISTS_OR_ADD'), append('x-filter', 'yes')] })],
    ...levels,
    exchanges: [{ expect: { seen: { 'x-level': 'table', 'x-filter': 'yes' }, headers: { 'x-level': 'table' } } }],
  },
  {
    name: 'applies every level; the most specific wins where it should',
    filters: [mutation({ request_mutations: [append('x-level', 'filter', 'OVERWRITE_IF_EXISTS_OR_ADD')] }, { most_specific_header_mutations_wins: true })],
    ...levels,
    exchanges: [{ expect: { seen: { 'x-level': 'route' }, headers: { 'x-level': 'route' } } }],
  },
  {
    name: 'edits what the mesh answers itself',
    filters: [mutation({ response_mutations: [append('x-edited', 'yes')] }), filterOf('fault', 'envoy.extensions.filters.http.fault.v3.HTTPFault', { abort: { http_status: 503, percentage: { numerator: 100 } } })],
    exchanges: [{ expect: { status: 503, headers: { 'x-edited': 'yes' } } }],
  },
  {
    name: 'runs only where a route asks for it, where it is disabled',
    filters: [{ ...mutation({ request_mutations: [append('x-filter', 'yes')] }), disabled: true }],
    routes: [{ match: { prefix: '/', headers: [{ name: 'x-on', present_match: true }] }, typed_per_filter_config: perRoute({ request_mutations: [append('x-route', 'yes')] }) }, {}],
    exchanges: [
      { headers: { 'x-on': '1' }, expect: { seen: { 'x-filter': 'yes', 'x-route': 'yes' } } },
      { expect: { seen: { 'x-filter': undefined, 'x-route': undefined } } },
    ],
  },
  {
    name: 'edits the query, whose parameters are sorted',
    protocols: ['http'],
    filters: [mutation({
      query_parameter_mutations: [
        { append: { record: { key: 'm', value: 'v w&%REQ(x-v)%' } } }, { append: { record: { key: 'absent', value: 'é' }, action: 'ADD_IF_ABSENT' } }, { append: { record: { key: 'if', value: '1' }, action: 'OVERWRITE_IF_EXISTS' } },
        { append: { record: { key: 'set', value: '1' }, action: 'OVERWRITE_IF_EXISTS_OR_ADD' } }, { append: { record: { key: 'empty', value: '%REQ(nope)%' } } }, { remove: 'gone' },
      ],
    })],
    exchanges: [
      { path: '/p?z=1&gone=1&a=/b:c&x', headers: { 'x-v': 'k=1' }, expect: { seenPath: '/p?a=/b:c&absent=%C3%A9&empty=&m=v%20w%26k%3D1&set=1&x=&z=1' } },
      { path: '/p?if=5&if=6&set=7&set=8&m=0&absent=here&gone', expect: { seenPath: '/p?absent=here&empty=&if=1&m=0&m=v%20w%26&set=1' } },
    ],
  },
  {
    name: 'edits the query of each level; where nothing is left there is none',
    protocols: ['http'],
    filters: [mutation({ query_parameter_mutations: [{ remove: 'a' }] })],
    routes: [{ typed_per_filter_config: perRoute({ query_parameter_mutations: [{ remove: 'b' }] }) }],
    exchanges: [{ path: '/p?a=1&b=2', expect: { seenPath: '/p' } }, { path: '/p', expect: { seenPath: '/p' } }],
  },
  {
    name: 'removes the headers whose names match',
    filters: [mutation({ request_mutations: [{ remove_on_match: { key_matcher: { prefix: 'x-a' } } }, append('x-ab', 'new')], response_mutations: [{ remove_on_match: { key_matcher: { safe_regex: { regex: 'x-[0-9]+' } } } }] })],
    exchanges: [{
      headers: { 'x-a': '1', 'x-ab': '2', 'x-b': '3' }, answer: { headers: { 'x-1': 'a', 'x-one': 'b' } },
      expect: { seen: { 'x-a': undefined, 'x-ab': 'new', 'x-b': '3' }, headers: { 'x-1': undefined, 'x-one': 'b' } },
    }],
  },
  {
    name: 'edits trailers where there are any',
    protocols: ['grpc'],
    filters: [mutation({ response_trailers_mutations: [append('x-trailer', '%REQ(x-v)%'), { remove: 'x-gone' }], request_trailers_mutations: [append('x-request-trailer', '1')] })],
    exchanges: [{ headers: { 'x-v': 'yes' }, expect: { headers: { 'x-trailer': 'yes' } } }],
  },
];
