import { packAny } from '@weft/xds-api';
import { RequestMethod } from '@weft/xds-api/core';
import { LeastRequestSchema } from '@weft/xds-api/load-balancing';
import { describe, expect, it } from 'vitest';
import { assignment, cluster, endpoint, locality, problemsOf, types } from './testing.js';

const seconds = (value: number) => ({ seconds: BigInt(value) });
const http = { case: 'httpHealthCheck', value: { path: '/live' } };
const base = { timeout: seconds(1), interval: seconds(5), unhealthyThreshold: 3, healthyThreshold: 2, healthChecker: http };
const check = (init: object) => cluster({ healthChecks: [{ ...base, ...init } as never] });
const decode = (init: object) => types.cluster.decode(check(init)).resource.healthCheck;

describe('health checks', () => {
  it("have Envoy's defaults", () => {
    expect(decode({})).toEqual({
      check: { kind: 'http', path: '/live', host: '', method: 'GET', http2: false, headers: { add: [], remove: [] }, expected: [{ start: 200, end: 201 }], retriable: [], receive: [], bufferSize: 1024 },
      timeoutMs: 1000, intervalMs: 5000, noTrafficIntervalMs: 60_000, noTrafficHealthyIntervalMs: 60_000, unhealthyIntervalMs: 5000, unhealthyEdgeIntervalMs: 5000, healthyEdgeIntervalMs: 5000,
      initialJitterMs: 0, intervalJitterMs: 0, intervalJitterPercent: 0, unhealthyThreshold: 3, healthyThreshold: 2, reuseConnection: true, logFailures: false, logSuccesses: false, alpn: [],
    });
    expect(decode({ unhealthyInterval: seconds(7), noTrafficInterval: seconds(9) })).toMatchObject({ unhealthyIntervalMs: 7000, unhealthyEdgeIntervalMs: 7000, noTrafficHealthyIntervalMs: 9000 });
  });

  it('may be of HTTP, gRPC and TCP', () => {
    expect(decode({
      altPort: 9, reuseConnection: false, intervalJitter: seconds(1), intervalJitterPercent: 10, initialJitter: seconds(2), alwaysLogHealthCheckFailures: true, alwaysLogHealthCheckSuccess: true,
      tlsOptions: { alpnProtocols: ['h2'] }, transportSocketMatchCriteria: { a: 'b' },
      healthChecker: { case: 'httpHealthCheck', value: { path: '/', host: 'h', method: RequestMethod.HEAD, codecClientType: 1, expectedStatuses: [{ start: 200n, end: 300n }], retriableStatuses: [{ start: 500n, end: 501n }], receive: [{ payload: { case: 'text', value: '4F6b' } }, { payload: { case: 'binary', value: new Uint8Array([1]) } }], responseBufferSize: 9n, serviceNameMatcher: { matchPattern: { case: 'prefix', value: 'p' } }, requestHeadersToAdd: [{ header: { key: 'A', value: 'b' } }], requestHeadersToRemove: ['C'] } },
    })).toMatchObject({
      altPort: 9, reuseConnection: false, intervalJitterMs: 1000, intervalJitterPercent: 10, initialJitterMs: 2000, logFailures: true, logSuccesses: true, alpn: ['h2'], transportSocketMatch: { a: 'b' },
      check: { host: 'h', method: 'HEAD', http2: true, expected: [{ start: 200, end: 300 }], retriable: [{ start: 500, end: 501 }], receive: ['4f6b', '01'], bufferSize: 9, serviceName: { kind: 'prefix', value: 'p' }, headers: { add: [{ name: 'a', value: 'b' }], remove: ['c'] } },
    });
    expect(decode({ healthChecker: { case: 'grpcHealthCheck', value: { serviceName: 's', authority: 'a', initialMetadata: [{ header: { key: 'x', value: 'y' } }] } } })?.check).toMatchObject({ kind: 'grpc', serviceName: 's', authority: 'a', headers: { add: [{ name: 'x' }] } });
    expect(decode({ healthChecker: { case: 'tcpHealthCheck', value: { send: { payload: { case: 'text', value: '00ff' } } } } })?.check).toEqual({ kind: 'tcp', send: '00ff', receive: [] });
  });

  const at = 'health_checks[0]';
  it.each<[string, Uint8Array, string[]]>([
    ['without what Envoy requires', cluster({ healthChecks: [{}] }), [`${at}: one of http_health_check, grpc_health_check, tcp_health_check is required`, `${at}.interval: is required`, `${at}.timeout: is required`, `${at}.unhealthy_threshold: is required`, `${at}.healthy_threshold: is required`]],
    ['twice', cluster({ healthChecks: [base as never, base as never] }), ['health_checks: more than one is not supported (nor by Envoy)']],
    ['of an extension', check({ healthChecker: { case: 'customHealthCheck', value: { name: 'redis' } } }), [`${at}.custom_health_check: "redis" is not supported`]],
    ['with a sink of events', check({ eventLogger: [{ name: 'file', typedConfig: packAny(LeastRequestSchema, {}) }] }), [`${at}.event_logger[0]: "file" is not supported; events are lines of the log`]],
    ['with a service of events', check({ eventService: {} }), [`${at}.event_service: not supported`]],
    ['over HTTP/3', check({ healthChecker: { case: 'httpHealthCheck', value: { path: '/', codecClientType: 2 } } }), [`${at}.http_health_check.codec_client_type: only HTTP1 and HTTP2 are supported`]],
    ['with a body', check({ healthChecker: { case: 'httpHealthCheck', value: { path: '/', send: { payload: { case: 'text', value: '00' } } } } }), [`${at}.http_health_check.send: not supported`]],
    ['without a path', check({ healthChecker: { case: 'httpHealthCheck', value: {} } }), [`${at}.http_health_check.path: must begin with /`]],
    ['with statuses that are none', check({ healthChecker: { case: 'httpHealthCheck', value: { path: '/', expectedStatuses: [{ start: 200n, end: 200n }] } } }), [`${at}.http_health_check.expected_statuses[0]: must lie within [100, 600) and not be empty`]],
    ['with a payload that is not hexadecimal', check({ healthChecker: { case: 'tcpHealthCheck', value: { receive: [{ payload: { case: 'text', value: 'OK' } }] } } }), [`${at}.tcp_health_check.receive[0]: must be text in hexadecimal or binary, and not empty`]],
    ['at no port', check({ altPort: 70_000 }), [`${at}.alt_port: must be 1 to 65535`]],
  ])('are refused %s', (_what, resource, problems) => expect(problemsOf(types.cluster, resource)).toEqual(problems));

  it('endpoints say where they are checked', () => {
    const of = (healthCheckConfig: object, address = '10.0.0.1') => {
      const made = endpoint(address);
      Object.assign(made.hostIdentifier!.value as object, { healthCheckConfig });
      return assignment([locality('a', [made])]);
    };
    const address = (value: string, port = 9) => ({ address: { case: 'socketAddress', value: { address: value, portSpecifier: { case: 'portValue', value: port } } } });
    const config = (init: object) => types.endpoints.decode(of(init)).resource.localities[0]?.endpoints[0]?.healthCheck;
    expect(config({ portValue: 7, hostname: 'h', disableActiveHealthCheck: true })).toEqual({ port: 7, hostname: 'h', disabled: true });
    expect(config({ address: address('10.0.0.2') })).toEqual({ address: '10.0.0.2', port: 9, disabled: false });
    const path = 'endpoints[0].lb_endpoints[0].endpoint.health_check_config';
    expect(problemsOf(types.endpoints, of({ address: address('169.254.169.254', 80) }))).toEqual([expect.stringContaining(`${path}.address.socket_address.address: 169.254.169.254: `)]);
    expect(problemsOf(types.endpoints, of({ address: address('10.0.0.2'), portValue: 8 }))).toEqual([`${path}: address and port_value must not both be set`]);
  });
});
