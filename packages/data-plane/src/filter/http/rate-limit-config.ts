// envoy.extensions.filters.http.ratelimit.v3.RateLimit and RateLimitPerRoute, decoded and compiled.
import { fromBinary } from '@weft/xds-api/protobuf';
import { ApiVersion } from '@weft/xds-api/core';
import {
  RateLimitFilterSchema, RateLimit_XRateLimitHeadersRFCVersion as XRateLimitHeaders, RateLimitPerRoute_OverrideOptions as OverrideOptions, RateLimitPerRoute_VhRateLimitsOptions as VhOptions,
  RateLimitPerRouteSchema, RateLimitServiceConfigSchema, type HttpStatus,
} from '@weft/xds-api/filter-rate-limit';
import { decodeGrpcService, type GrpcServiceConfig } from '../../resource/grpc-service.js';
import { decodeHeaderAddition } from '../../resource/header-mutation.js';
import { knownFields, Report } from '../../resource/report.js';
import { decodeRateLimits } from '../../resource/rate-limit.js';
import type { RateLimitConfig } from '../../resource/rate-limit-config.js';
import type { FractionConfig } from '../../resource/matcher-config.js';
import { durationMs, runtimeFraction } from '../../resource/value.js';
import { compileHeaderMutation, type HeaderMutation } from '../../route/header-mutation.js';
import type { VirtualHostRateLimits } from '../rate-limit/descriptors.js';

export interface RateLimitFilterConfig {
  domain: string;
  stage: number;
  requestType: 'internal' | 'external' | 'both';
  service: GrpcServiceConfig;
  timeoutMs: number;
  failureModeDeny: boolean;
  resourceExhausted: boolean;
  rateLimitHeaders: boolean;
  ratelimitedHeader: boolean;
  status: number;
  statusOnError: number;
  responseHeaders: HeaderMutation | undefined;
  statPrefix: string;
  enabled?: FractionConfig;
  enforced?: FractionConfig;
  /** Takes the place of failureModeDeny. */
  denyFraction?: FractionConfig;
  /** Its own, which replace those of routes. */
  rateLimits: readonly RateLimitConfig[];
  metadataNamespace: string;
  retryAfter: boolean;
}

export interface RateLimitRouteConfig {
  virtualHost: VirtualHostRateLimits;
  /** Instead of the filter's. */
  domain?: string;
  /** Instead of those of routes and the filter. */
  rateLimits: readonly RateLimitConfig[];
}

const fields = knownFields(
  RateLimitFilterSchema,
  ['domain', 'stage', 'request_type', 'timeout', 'failure_mode_deny', 'rate_limited_as_resource_exhausted', 'rate_limit_service', 'enable_x_ratelimit_headers', 'disable_x_envoy_ratelimited_header', 'rate_limited_status', 'response_headers_to_add', 'status_on_error', 'stat_prefix', 'filter_enabled', 'filter_enforced', 'failure_mode_deny_percent', 'rate_limits', 'metadata_namespace', 'enable_retry_after_header'],
);
const serviceFields = knownFields(RateLimitServiceConfigSchema, ['grpc_service', 'transport_api_version']);
const routeFields = knownFields(RateLimitPerRouteSchema, ['vh_rate_limits', 'override_option', 'domain', 'rate_limits']);

/** Envoy's default. */
const defaultTimeoutMs = 20;
const longest = 2 ** 31 - 1;

/** @throws {DecodeError} */
export function parseRateLimit(value: Uint8Array): RateLimitFilterConfig {
  const message = fromBinary(RateLimitFilterSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  if (message.domain === '') report.add('domain', 'must not be empty');
  if (message.stage > 10) report.add('stage', `must be 0 to 10, is ${message.stage}`);
  const requestType = message.requestType || 'both';
  if (requestType !== 'internal' && requestType !== 'external' && requestType !== 'both') report.add('request_type', `must be internal, external or both, is ${JSON.stringify(requestType)}`);
  const { rateLimitService } = message;
  if (rateLimitService) report.check(serviceFields, rateLimitService, 'rate_limit_service');
  if (rateLimitService?.transportApiVersion === ApiVersion.V2) report.add('rate_limit_service.transport_api_version', 'must be V3');
  const service = decodeGrpcService(rateLimitService?.grpcService, 'rate_limit_service.grpc_service', report);
  if (message.responseHeadersToAdd.length > 10) report.add('response_headers_to_add', 'must not have more than 10 entries');
  const before = report.problems.length;
  const add = message.responseHeadersToAdd.map((option, i) => decodeHeaderAddition(option, `response_headers_to_add[${i}]`, report));
  const responseHeaders = report.problems.length === before ? report.attempt('response_headers_to_add', () => compileHeaderMutation({ add, remove: [] }, 'response')) : undefined;
  const timeoutMs = durationMs(message.timeout, 'timeout', report) ?? defaultTimeoutMs;
  const enabled = runtimeFraction(message.filterEnabled, 'filter_enabled', report);
  const enforced = runtimeFraction(message.filterEnforced, 'filter_enforced', report);
  const denyFraction = runtimeFraction(message.failureModeDenyPercent, 'failure_mode_deny_percent', report);
  const rateLimits = decodeRateLimits(message.rateLimits, 'rate_limits', report, 'filter');
  report.finish('RateLimit');
  return {
    domain: message.domain,
    stage: message.stage,
    requestType: requestType as RateLimitFilterConfig['requestType'],
    service: service!,
    // 0: none.
    timeoutMs: timeoutMs === 0 ? longest : timeoutMs,
    failureModeDeny: message.failureModeDeny,
    resourceExhausted: message.rateLimitedAsResourceExhausted,
    rateLimitHeaders: message.enableXRatelimitHeaders === XRateLimitHeaders.DRAFT_VERSION_03,
    ratelimitedHeader: !message.disableXEnvoyRatelimitedHeader,
    status: errorStatus(message.rateLimitedStatus, 429),
    statusOnError: statusOf(message.statusOnError, 500),
    responseHeaders,
    statPrefix: message.statPrefix,
    ...(enabled && { enabled }),
    ...(enforced && { enforced }),
    ...(denyFraction && { denyFraction }),
    rateLimits,
    metadataNamespace: message.metadataNamespace || 'envoy.filters.http.ratelimit',
    retryAfter: message.enableRetryAfterHeader,
  };
}

/** @throws {DecodeError} */
export function parseRateLimitRoute(value: Uint8Array): RateLimitRouteConfig {
  const message = fromBinary(RateLimitPerRouteSchema, value);
  const report = new Report();
  report.check(routeFields, message, '');
  const rateLimits = decodeRateLimits(message.rateLimits, 'rate_limits', report, 'filter');
  report.finish('RateLimitPerRoute');
  return { rateLimits, virtualHost: virtualHostOption(message.overrideOption, message.vhRateLimits), ...(message.domain !== '' && { domain: message.domain }) };
}

function virtualHostOption(override: OverrideOptions, older: VhOptions): VirtualHostRateLimits {
  switch (override) {
    case OverrideOptions.OVERRIDE_POLICY: return 'override';
    case OverrideOptions.INCLUDE_POLICY: return 'include';
    case OverrideOptions.IGNORE_POLICY: return 'ignore';
    default: return older === VhOptions.INCLUDE ? 'include' : older === VhOptions.IGNORE ? 'ignore' : 'override';
  }
}

function statusOf(status: HttpStatus | undefined, fallback: number): number {
  return status?.code || fallback;
}

/** Envoy: what is no error would let the caller believe that it was served. */
function errorStatus(status: HttpStatus | undefined, fallback: number): number {
  const code = statusOf(status, fallback);
  return code >= 400 ? code : fallback;
}
