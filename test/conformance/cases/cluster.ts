import type { ConformanceCase, Json } from '../conformance-case.js';

const noPanic = { common_lb_config: { healthy_panic_threshold: { value: 0 } } };
const checked = (check: Json): Json => ({ ...noPanic, health_checks: [{ timeout: '1s', interval: '1s', unhealthy_threshold: 1, healthy_threshold: 1, ...check }] });
const outliers = (detection: Json): Json => ({ ...noPanic, outlier_detection: { consecutive_5xx: 2, interval: '60s', base_ejection_time: '60s', ...detection } });
const failed = { answer: { status: 500, grpcStatus: 13 }, expect: { status: 500, grpcStatus: 13 } };
const nobody = { expect: { status: 503, body: /^no healthy upstream/ } };

/** Of clients: servers have no clusters. */
const of = (cases: readonly Omit<ConformanceCase, 'sides'>[]): ConformanceCase[] => cases.map((one) => ({ sides: ['client'], ...one }));

export const healthCheckCases = of([
  { name: 'a host that passes is used', protocols: ['http'], cluster: checked({ http_health_check: { path: '/health', expected_statuses: [{ start: 200, end: 300 }] } }), exchanges: [{ expect: {} }] },
  { name: 'a host whose status is not an expected one is not', protocols: ['http'], cluster: checked({ http_health_check: { path: '/health', expected_statuses: [{ start: 201, end: 300 }] } }), exchanges: [nobody] },
  { name: 'a host that is of another service is not', protocols: ['http'], cluster: checked({ http_health_check: { path: '/health', service_name_matcher: { prefix: 'other' } } }), exchanges: [nobody] },
  { name: 'a host whose body is as expected is used', protocols: ['http'], cluster: checked({ http_health_check: { path: '/health', receive: [{ text: Buffer.from('back').toString('hex') }] } }), exchanges: [{ expect: {} }] },
  { name: 'a host whose body is another is not', protocols: ['http'], cluster: checked({ http_health_check: { path: '/health', receive: [{ text: Buffer.from('front').toString('hex') }] } }), exchanges: [nobody] },
  { name: 'a host that serves no gRPC health is not', protocols: ['grpc'], cluster: checked({ grpc_health_check: {} }), exchanges: [nobody] },
  { name: 'a host that can be connected to is', cluster: checked({ tcp_health_check: {} }), exchanges: [{ expect: {} }] },
  { name: 'in panic everybody is used', protocols: ['http'], cluster: { ...checked({ http_health_check: { path: '/health', expected_statuses: [{ start: 201, end: 300 }] } }), common_lb_config: {} }, exchanges: [{ expect: {} }] },
]);

export const outlierCases = of([
  { name: 'the only host is ejected where all may be', cluster: outliers({ max_ejection_percent: 100 }), protocols: ['http'], exchanges: [failed, failed, nobody] },
  { name: 'a gRPC status behind a body says nothing of the host', protocols: ['grpc'], cluster: outliers({ max_ejection_percent: 100, consecutive_5xx: 1 }), exchanges: [failed, failed] },
  { name: "with Envoy's default of 10 % it is not", cluster: outliers({}), exchanges: [failed, failed, failed, failed] },
  { name: 'but where one always may be it is', cluster: outliers({ always_eject_one_host: true }), protocols: ['http'], exchanges: [failed, failed, nobody] },
  { name: 'what is not enforced ejects nobody', cluster: outliers({ max_ejection_percent: 100, enforcing_consecutive_5xx: 0 }), exchanges: [failed, failed, failed] },
]);

export const breakerCases = of([
  {
    name: 'no request is more than none',
    cluster: { circuit_breakers: { thresholds: [{ max_requests: 0 }] } },
    exchanges: [{ expect: { status: 503, body: /reset reason: overflow/, headers: { 'x-envoy-overloaded': 'true' }, seen: false } }],
  },
  { name: 'priorities have limits of their own', cluster: { circuit_breakers: { thresholds: [{ max_requests: 0 }, { priority: 'HIGH', max_requests: 1 }] } }, routes: [{ route: { priority: 'HIGH' } }], exchanges: [{ expect: {} }, { expect: {} }] },
]);
