// `health_checks`: active checks of a cluster's hosts.
import { HealthCheck_GrpcHealthCheckSchema, HealthCheck_HttpHealthCheckSchema, HealthCheck_TcpHealthCheckSchema, HealthCheck_TlsOptionsSchema, HealthCheckSchema, RequestMethod, type HealthCheck, type HealthCheck_GrpcHealthCheck, type HealthCheck_HttpHealthCheck, type HealthCheck_Payload, type HealthCheck_TcpHealthCheck, type HeaderValueOption } from '@weft/xds-api/core';
import type { HealthCheckConfig, StatusRange } from './cluster-config.js';
import { decodeHeaderMutations } from './header-mutation.js';
import { decodeStringMatcher } from './matcher.js';
import { join, knownFields, type Report } from './report.js';
import type { HeaderMutationConfig } from './route-config.js';
import { durationMs } from './value.js';

const fields = knownFields(
  HealthCheckSchema,
  ['timeout', 'interval', 'initial_jitter', 'interval_jitter', 'interval_jitter_percent', 'unhealthy_threshold', 'healthy_threshold', 'alt_port', 'reuse_connection', 'http_health_check', 'tcp_health_check', 'grpc_health_check', 'no_traffic_interval', 'no_traffic_healthy_interval', 'unhealthy_interval', 'unhealthy_edge_interval', 'healthy_edge_interval', 'always_log_health_check_failures', 'always_log_health_check_success', 'tls_options', 'transport_socket_match_criteria'],
  // Events are lines of the process's log.
  ['event_log_path', 'name'],
  ['custom_health_check', 'event_logger'],
);
const httpFields = knownFields(HealthCheck_HttpHealthCheckSchema, ['host', 'path', 'receive', 'response_buffer_size', 'request_headers_to_add', 'request_headers_to_remove', 'expected_statuses', 'retriable_statuses', 'codec_client_type', 'service_name_matcher', 'method']);
const grpcFields = knownFields(HealthCheck_GrpcHealthCheckSchema, ['service_name', 'authority', 'initial_metadata']);
const tcpFields = knownFields(HealthCheck_TcpHealthCheckSchema, ['send', 'receive']);
const tlsFields = knownFields(HealthCheck_TlsOptionsSchema, ['alpn_protocols']);

export function decodeHealthChecks(checks: readonly HealthCheck[], report: Report): HealthCheckConfig | undefined {
  const [check] = checks;
  if (!check) return undefined;
  if (checks.length > 1) report.add('health_checks', 'more than one is not supported (nor by Envoy)');
  return decodeHealthCheck(check, 'health_checks[0]', report);
}

function decodeHealthCheck(message: HealthCheck, path: string, report: Report): HealthCheckConfig | undefined {
  report.check(fields, message, path);
  message.eventLogger.forEach(({ name }, i) => report.add(`${path}.event_logger[${i}]`, `${JSON.stringify(name)} is not supported; events are lines of the log`));
  const ms = (value: HealthCheck['timeout'], name: string) => durationMs(value, join(path, name), report, { positive: true });
  const required = (value: HealthCheck['timeout'], name: string) => {
    if (!value) report.add(join(path, name), 'is required');
    return ms(value, name) ?? 0;
  };
  const count = (value: number | undefined, name: string) => {
    if (value === undefined) report.add(join(path, name), 'is required');
    return value ?? 1;
  };
  if (message.tlsOptions) report.check(tlsFields, message.tlsOptions, join(path, 'tls_options'));
  if (message.altPort !== undefined && (message.altPort < 1 || message.altPort > 65_535)) report.add(join(path, 'alt_port'), 'must be 1 to 65535');
  const check = decodeChecker(message.healthChecker, path, report);
  const intervalMs = required(message.interval, 'interval');
  const unhealthyIntervalMs = ms(message.unhealthyInterval, 'unhealthy_interval') ?? intervalMs;
  const noTrafficIntervalMs = ms(message.noTrafficInterval, 'no_traffic_interval') ?? 60_000;
  const rest: Omit<HealthCheckConfig, 'check'> = {
    timeoutMs: required(message.timeout, 'timeout'),
    intervalMs,
    noTrafficIntervalMs,
    noTrafficHealthyIntervalMs: ms(message.noTrafficHealthyInterval, 'no_traffic_healthy_interval') ?? noTrafficIntervalMs,
    unhealthyIntervalMs,
    unhealthyEdgeIntervalMs: ms(message.unhealthyEdgeInterval, 'unhealthy_edge_interval') ?? unhealthyIntervalMs,
    healthyEdgeIntervalMs: ms(message.healthyEdgeInterval, 'healthy_edge_interval') ?? intervalMs,
    initialJitterMs: durationMs(message.initialJitter, join(path, 'initial_jitter'), report) ?? 0,
    intervalJitterMs: durationMs(message.intervalJitter, join(path, 'interval_jitter'), report) ?? 0,
    intervalJitterPercent: message.intervalJitterPercent,
    unhealthyThreshold: count(message.unhealthyThreshold, 'unhealthy_threshold'),
    healthyThreshold: count(message.healthyThreshold, 'healthy_threshold'),
    ...(message.altPort !== undefined && { altPort: message.altPort }),
    reuseConnection: message.reuseConnection ?? true,
    logFailures: message.alwaysLogHealthCheckFailures,
    logSuccesses: message.alwaysLogHealthCheckSuccess,
    alpn: message.tlsOptions?.alpnProtocols ?? [],
    ...(message.transportSocketMatchCriteria && { transportSocketMatch: message.transportSocketMatchCriteria }),
  };
  return check && { check, ...rest };
}

function decodeChecker(checker: HealthCheck['healthChecker'], path: string, report: Report): HealthCheckConfig['check'] | undefined {
  switch (checker.case) {
    case 'httpHealthCheck': return decodeHttp(checker.value, join(path, 'http_health_check'), report);
    case 'grpcHealthCheck': return decodeGrpc(checker.value, join(path, 'grpc_health_check'), report);
    case 'tcpHealthCheck': return decodeTcp(checker.value, join(path, 'tcp_health_check'), report);
    case 'customHealthCheck':
      report.add(join(path, 'custom_health_check'), `${JSON.stringify(checker.value.name)} is not supported`);
      return undefined;
    default:
      report.add(path, 'one of http_health_check, grpc_health_check, tcp_health_check is required');
      return undefined;
  }
}

function decodeHttp(message: HealthCheck_HttpHealthCheck, path: string, report: Report): HealthCheckConfig['check'] {
  report.check(httpFields, message, path);
  if (!message.path.startsWith('/')) report.add(join(path, 'path'), 'must begin with /');
  // 0 HTTP/1.1, 1 HTTP/2.
  if (message.codecClientType > 1) report.add(join(path, 'codec_client_type'), 'only HTTP1 and HTTP2 are supported');
  const method = RequestMethod[message.method || RequestMethod.GET] ?? String(message.method);
  if (method === 'CONNECT') report.add(join(path, 'method'), 'must not be CONNECT');
  if (message.method > RequestMethod.PATCH) report.add(join(path, 'method'), `unknown value ${method}`);
  const expected = ranges(message.expectedStatuses, join(path, 'expected_statuses'), report);
  const serviceName = message.serviceNameMatcher && decodeStringMatcher(message.serviceNameMatcher, join(path, 'service_name_matcher'), report);
  return {
    kind: 'http', path: message.path, host: message.host, method, http2: message.codecClientType === 1,
    headers: headers(message.requestHeadersToAdd, message.requestHeadersToRemove, path, report),
    expected: expected.length > 0 ? expected : [{ start: 200, end: 201 }],
    retriable: ranges(message.retriableStatuses, join(path, 'retriable_statuses'), report),
    receive: payloads(message.receive, join(path, 'receive'), report),
    bufferSize: Number(message.responseBufferSize ?? 1024n),
    ...(serviceName && { serviceName }),
  };
}

function decodeGrpc(message: HealthCheck_GrpcHealthCheck, path: string, report: Report): HealthCheckConfig['check'] {
  report.check(grpcFields, message, path);
  return { kind: 'grpc', serviceName: message.serviceName, authority: message.authority, headers: headers(message.initialMetadata, [], path, report) };
}

function decodeTcp(message: HealthCheck_TcpHealthCheck, path: string, report: Report): HealthCheckConfig['check'] {
  report.check(tcpFields, message, path);
  return { kind: 'tcp', send: message.send ? payload(message.send, join(path, 'send'), report) : '', receive: payloads(message.receive, join(path, 'receive'), report) };
}

function headers(requestHeadersToAdd: readonly HeaderValueOption[], requestHeadersToRemove: readonly string[], path: string, report: Report): HeaderMutationConfig {
  return decodeHeaderMutations({ requestHeadersToAdd, requestHeadersToRemove, responseHeadersToAdd: [], responseHeadersToRemove: [] }, path, report).request;
}

function ranges(list: readonly { start: bigint; end: bigint }[], path: string, report: Report): StatusRange[] {
  return list.map(({ start, end }, i) => {
    if (start < 100n || end > 600n || start >= end) report.add(`${path}[${i}]`, 'must lie within [100, 600) and not be empty');
    return { start: Number(start), end: Number(end) };
  });
}

function payloads(list: readonly HealthCheck_Payload[], path: string, report: Report): string[] {
  return list.map((item, i) => payload(item, `${path}[${i}]`, report));
}

/** `text` is hexadecimal, as in Envoy. */
function payload({ payload: { case: kind, value } }: HealthCheck_Payload, path: string, report: Report): string {
  if (kind === 'binary' && value.length > 0) return Buffer.from(value).toString('hex');
  if (kind === 'text' && /^([0-9a-fA-F]{2})+$/.test(value)) return value.toLowerCase();
  report.add(path, 'must be text in hexadecimal or binary, and not empty');
  return '';
}
