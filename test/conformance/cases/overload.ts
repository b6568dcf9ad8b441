import { any, filterOf, type ConformanceCase, type Json } from '../conformance-case.js';

const admission = (config: Json = {}) => filterOf('envoy.filters.http.admission_control', 'envoy.extensions.filters.http.admission_control.v3.AdmissionControl', { success_criteria: {}, ...config });
const concurrency = (config: Json = {}) =>
  filterOf('envoy.filters.http.adaptive_concurrency', 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency', {
    gradient_controller_config: { concurrency_limit_params: { concurrency_update_interval: '0.1s' }, min_rtt_calc_params: { interval: '60s', ...config } },
  });
const breakerType = 'weft.filters.http.v1.ErrorRateBreaker';
const breaker = (config: Json = {}) => filterOf('weft.filters.http.error_rate_breaker', breakerType, config);
const fails = { answer: { status: 500, grpcStatus: 13 }, expect: { status: 500, grpcStatus: 13 } };
const open = { status: 503, body: /error-rate breaker is open/, headers: { 'x-envoy-overloaded': 'true' }, seen: false } as const;

export const overloadCases: readonly ConformanceCase[] = [
  {
    name: 'admission control lets what succeeds through, and failures below its rate',
    filters: [admission({ rps_threshold: { default_value: 1000 } })],
    exchanges: [{ expect: {} }, fails, fails, { expect: {} }],
  },
  {
    name: 'adaptive concurrency lets through what comes one after the other',
    filters: [concurrency({ min_concurrency: 1, request_count: 2 })],
    exchanges: [{ expect: {} }, { expect: {} }, { expect: {} }],
  },
];

export const errorRateCases: readonly ConformanceCase[] = [
  {
    name: 'the error-rate breaker opens for what failed, by its most specific configuration',
    sides: ['client'],
    notEnvoy: 'a filter of Weft',
    filters: [breaker({ volume_threshold: 100 })],
    routes: [
      { name: 'own', match: { prefix: '/', headers: [{ name: 'x-own', present_match: true }] }, typed_per_filter_config: { 'weft.filters.http.error_rate_breaker': any(breakerType, { volume_threshold: 2, scope: 'ROUTE' }) } },
      {},
    ],
    exchanges: [
      { headers: { 'x-own': '1' }, ...fails },
      { headers: { 'x-own': '1' }, ...fails },
      fails,
      { headers: { 'x-own': '1' }, expect: open },
      fails,
      { expect: {} },
    ],
  },
];
