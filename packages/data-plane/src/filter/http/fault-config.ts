// envoy.extensions.filters.http.fault.v3.HTTPFault, decoded and compiled.
import { fromBinary } from '@weft/xds-api/protobuf';
import { FaultAbortSchema, FaultDelaySchema, FaultRateLimitSchema, HTTPFaultSchema, type HTTPFault } from '@weft/xds-api/filter-fault';
import type { FractionConfig } from '../../resource/matcher-config.js';
import { decodeHeaderMatcher } from '../../resource/matcher.js';
import { knownFields, Report } from '../../resource/report.js';
import { durationMs, fraction } from '../../resource/value.js';
import { compileHeaderMatcher, type HeaderMatcher } from '../../route/header-matcher.js';

export interface FaultConfig {
  delay?: { fixedMs?: number; percentage: FractionConfig };
  abort?: { status?: number; grpcStatus?: number; body?: string; percentage: FractionConfig };
  /** KiB/s; without a number the request says it. */
  responseRateLimit?: { kbps?: number; percentage: FractionConfig };
  /** Empty: any. */
  upstreamCluster: string;
  headers: readonly HeaderMatcher[];
  downstreamNodes: ReadonlySet<string>;
  maxActiveFaults: number;
}

const fields = knownFields(
  HTTPFaultSchema,
  ['delay', 'abort', 'upstream_cluster', 'headers', 'downstream_nodes', 'max_active_faults', 'response_rate_limit'],
  // Runtime keys override defaults where there is a runtime layer; a process has none. The last two concern statistics and logs.
  ['delay_percent_runtime', 'abort_percent_runtime', 'delay_duration_runtime', 'abort_http_status_runtime', 'max_active_faults_runtime', 'response_rate_limit_percent_runtime', 'abort_grpc_status_runtime', 'disable_downstream_cluster_stats', 'filter_metadata'],
);
const delayFields = knownFields(FaultDelaySchema, ['fixed_delay', 'header_delay', 'percentage']);
const rateLimitFields = knownFields(FaultRateLimitSchema, ['fixed_limit', 'header_limit', 'percentage']);
const abortFields = knownFields(FaultAbortSchema, ['http_status', 'grpc_status', 'header_abort', 'percentage', 'response_body']);

// Unset means 0 %: nothing happens.
const never: FractionConfig = { numerator: 0, denominator: 100 };

/** @throws {DecodeError} */
export function parseFault(value: Uint8Array): FaultConfig {
  const message = fromBinary(HTTPFaultSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  const delay = decodeDelay(message.delay, report);
  const abort = decodeAbort(message.abort, report);
  const responseRateLimit = decodeRateLimit(message.responseRateLimit, report);
  const headers = message.headers.map((matcher, i) => decodeHeaderMatcher(matcher, `headers[${i}]`, report));
  report.finish('HTTPFault');
  return {
    ...(delay && { delay }),
    ...(abort && { abort }),
    ...(responseRateLimit && { responseRateLimit }),
    upstreamCluster: message.upstreamCluster,
    headers: headers.map(compileHeaderMatcher),
    downstreamNodes: new Set(message.downstreamNodes),
    maxActiveFaults: message.maxActiveFaults ?? Infinity,
  };
}

function decodeDelay(delay: HTTPFault['delay'], report: Report): FaultConfig['delay'] {
  if (!delay) return undefined;
  report.check(delayFields, delay, 'delay');
  const percentage = fraction(delay.percentage, 'delay.percentage', report) ?? never;
  switch (delay.faultDelaySecifier.case) {
    case 'fixedDelay': {
      const fixedMs = durationMs(delay.faultDelaySecifier.value, 'delay.fixed_delay', report, { positive: true });
      return fixedMs === undefined ? undefined : { fixedMs, percentage };
    }
    case 'headerDelay': return { percentage };
    default:
      report.add('delay', 'one of fixed_delay, header_delay is required');
      return undefined;
  }
}

function decodeRateLimit(limit: HTTPFault['responseRateLimit'], report: Report): FaultConfig['responseRateLimit'] {
  if (!limit) return undefined;
  report.check(rateLimitFields, limit, 'response_rate_limit');
  const percentage = fraction(limit.percentage, 'response_rate_limit.percentage', report) ?? never;
  switch (limit.limitType.case) {
    case 'fixedLimit':
      if (limit.limitType.value.limitKbps === 0n) report.add('response_rate_limit.fixed_limit.limit_kbps', 'must be at least 1');
      return { kbps: Number(limit.limitType.value.limitKbps), percentage };
    case 'headerLimit': return { percentage };
    default:
      report.add('response_rate_limit', 'one of fixed_limit, header_limit is required');
      return undefined;
  }
}

function decodeAbort(abort: HTTPFault['abort'], report: Report): FaultConfig['abort'] {
  if (!abort) return undefined;
  report.check(abortFields, abort, 'abort');
  const percentage = fraction(abort.percentage, 'abort.percentage', report) ?? never;
  const body = abort.responseBody !== '' && { body: abort.responseBody };
  const { errorType } = abort;
  switch (errorType.case) {
    case 'httpStatus':
      if (errorType.value < 200 || errorType.value > 599) report.add('abort.http_status', `must be 200 to 599, is ${errorType.value}`);
      return { status: errorType.value, percentage, ...body };
    case 'grpcStatus':
      if (errorType.value > 16) report.add('abort.grpc_status', `must be 0 to 16, is ${errorType.value}`);
      return { grpcStatus: errorType.value, percentage, ...body };
    case 'headerAbort': return { percentage, ...body };
    default:
      report.add('abort', 'one of http_status, grpc_status, header_abort is required');
      return undefined;
  }
}
