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
];
