import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const type = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const fault = (config: Json = {}) => filterOf('envoy.filters.http.fault', type, config);
const always = { numerator: 100 };

export const faultCases: readonly ConformanceCase[] = [
  {
    name: 'aborts with a status',
    filters: [fault({ abort: { http_status: 418, percentage: always }, headers: [{ name: 'x-fail', present_match: true }] })],
    exchanges: [
      { headers: { 'x-fail': '1' }, expect: { status: 418, body: 'fault filter abort', seen: false } },
      { expect: { seen: { 'x-fail': undefined } } },
    ],
  },
  {
    name: 'aborts with a gRPC status',
    filters: [fault({ abort: { grpc_status: 5, percentage: always } })],
    exchanges: [{ expect: { status: 200, grpcStatus: 5, body: 'fault filter abort', seen: false } }],
  },
  {
    name: 'answers with a body of its own',
    filters: [fault({ abort: { http_status: 503, percentage: always, response_body: 'on purpose' } })],
    exchanges: [{ expect: { status: 503, body: 'on purpose', seen: false } }],
  },
  {
    name: 'takes what the request asks for, up to the configured chance',
    // A server does not believe a caller's x-envoy headers.
    sides: ['client'],
    filters: [fault({ abort: { header_abort: {}, percentage: always } })],
    exchanges: [
      { headers: { 'x-envoy-fault-abort-request': '503' }, expect: { status: 503, seen: false } },
      { headers: { 'x-envoy-fault-abort-request': '503', 'x-envoy-fault-abort-request-percentage': '0' }, expect: {} },
      { headers: { 'x-envoy-fault-abort-request': '99' }, expect: {} },
      { expect: {} },
    ],
  },
  {
    name: 'is overridden by the most specific level',
    filters: [fault()],
    virtualHost: { typed_per_filter_config: { 'envoy.filters.http.fault': any(type, { abort: { http_status: 501, percentage: always } }) } },
    routes: [
      { match: { prefix: '/', headers: [{ name: 'x-route', present_match: true }] }, typed_per_filter_config: { 'envoy.filters.http.fault': any(type, { abort: { http_status: 502, percentage: always } }) } },
      {},
    ],
    exchanges: [
      { headers: { 'x-route': '1' }, expect: { status: 502, seen: false } },
      { expect: { status: 501, grpcStatus: 2, seen: false } },
    ],
  },
];
