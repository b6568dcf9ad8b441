import { filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const health = (config: Json) => filterOf('envoy.filters.http.health_check', 'envoy.extensions.filters.http.health_check.v3.HealthCheck', config);
const path = (value: string) => ({ headers: [{ name: ':path', string_match: { exact: value } }] });

export const healthCheckCases: readonly ConformanceCase[] = [
  {
    name: 'answers for a path',
    protocols: ['http'],
    filters: [health({ pass_through_mode: false, ...path('/healthz') })],
    exchanges: [
      { path: '/healthz', expect: { status: 200, body: '', seen: false, headers: { 'x-envoy-upstream-healthchecked-cluster': /.*/ } } },
      { path: '/healthz?a=1', expect: { seen: {}, body: 'backend', headers: { 'x-envoy-upstream-healthchecked-cluster': undefined } } },
      { path: '/', expect: { seen: {}, body: 'backend' } },
    ],
  },
  {
    name: 'lets checks through and remembers the answer',
    protocols: ['http'],
    filters: [health({ pass_through_mode: true, cache_time: '3600s', ...path('/healthz') })],
    exchanges: [
      { path: '/healthz', answer: { status: 503, headers: { 'x-envoy-degraded': '1' } }, expect: { status: 503, body: 'backend', seen: {} } },
      { path: '/healthz', expect: { status: 503, body: '', seen: false, headers: { 'x-envoy-degraded': /.*/ } } },
      { path: '/', expect: { body: 'backend' } },
    ],
  },
  {
    name: 'lets checks through',
    filters: [health({ pass_through_mode: true, headers: [{ name: 'x-check', present_match: true }] })],
    exchanges: [{ headers: { 'x-check': '1' }, expect: { seen: { 'x-check': '1' }, headers: { 'x-envoy-upstream-healthchecked-cluster': /.*/ } } }, { expect: { seen: {}, headers: { 'x-envoy-upstream-healthchecked-cluster': undefined } } }],
  },
];
