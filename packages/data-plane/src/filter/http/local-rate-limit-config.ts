// envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, decoded and compiled.
import { fromBinary } from '@weft/xds-api/protobuf';
import {
  LocalRateLimitDescriptorSchema, LocalRateLimitSchema, RateLimitDescriptor_EntrySchema, TokenBucketSchema, VhRateLimitsOptions, XRateLimitHeadersRFCVersion, type LocalRateLimit, type LocalRateLimitDescriptor,
  type TokenBucket,
} from '@weft/xds-api/filter-rate-limit';
import { decodeHeaderAddition } from '../../resource/header-mutation.js';
import type { FractionConfig } from '../../resource/matcher-config.js';
import type { RateLimitConfig } from '../../resource/rate-limit-config.js';
import { decodeRateLimits } from '../../resource/rate-limit.js';
import { join, knownFields, Report } from '../../resource/report.js';
import { durationMs, runtimeFraction } from '../../resource/value.js';
import { compileHeaderMutation, type HeaderMutation } from '../../route/header-mutation.js';
import type { VirtualHostRateLimits } from '../rate-limit/descriptors.js';
import { keyOf, type LocalDescriptorConfig, type LocalLimiterConfig } from '../rate-limit/local-limiter.js';
import type { TokenBucketConfig } from '../token-bucket.js';

export interface LocalRateLimitConfig extends LocalLimiterConfig {
  statPrefix: string;
  status: number;
  enabled?: FractionConfig;
  enforced?: FractionConfig;
  requestHeaders: HeaderMutation | undefined;
  responseHeaders: HeaderMutation | undefined;
  stage: number;
  perConnection: boolean;
  rateLimitHeaders: boolean;
  virtualHostRateLimits: VirtualHostRateLimits;
  resourceExhausted: boolean;
  retryAfter: boolean;
  /** Its own, which replace those of routes. */
  rateLimits: readonly RateLimitConfig[];
}

const fields = knownFields(
  LocalRateLimitSchema,
  ['stat_prefix', 'status', 'token_bucket', 'filter_enabled', 'filter_enforced', 'request_headers_to_add_when_not_enforced', 'response_headers_to_add', 'descriptors', 'stage', 'local_rate_limit_per_downstream_connection', 'enable_x_ratelimit_headers', 'vh_rate_limits', 'always_consume_default_token_bucket', 'rate_limited_as_resource_exhausted', 'rate_limits', 'max_dynamic_descriptors', 'enable_retry_after_header'],
  [],
  ['local_cluster_rate_limit'],
);
const descriptorFields = knownFields(LocalRateLimitDescriptorSchema, ['entries', 'token_bucket']);
const entryFields = knownFields(RateLimitDescriptor_EntrySchema, ['key', 'value']);
const bucketFields = knownFields(TokenBucketSchema, ['max_tokens', 'tokens_per_fill', 'fill_interval']);

/** @throws {DecodeError} */
export function parseLocalRateLimit(value: Uint8Array, { perRoute }: { perRoute: boolean }): LocalRateLimitConfig {
  const message = fromBinary(LocalRateLimitSchema, value);
  const report = new Report();
  report.check(fields, message, '');
  if (message.statPrefix === '') report.add('stat_prefix', 'must not be empty');
  if (message.stage > 10) report.add('stage', `must be 0 to 10, is ${message.stage}`);
  if (message.localClusterRateLimit) report.unsupported('local_cluster_rate_limit');
  message.rateLimits.forEach(({ hitsAddend, applyOnStreamDone, limit }, i) => {
    for (const [name, set] of [['hits_addend.is_negative_hits', hitsAddend?.isNegativeHits], ['apply_on_stream_done', applyOnStreamDone], ['limit', limit !== undefined]] as const) if (set) report.unsupported(`rate_limits[${i}].${name}`);
  });
  if (perRoute && !message.tokenBucket) report.add('token_bucket', 'is required in a route');
  const bucket = message.tokenBucket && decodeBucket(message.tokenBucket, 'token_bucket', report);
  const enabled = runtimeFraction(message.filterEnabled, 'filter_enabled', report);
  const enforced = runtimeFraction(message.filterEnforced, 'filter_enforced', report);
  const config: LocalRateLimitConfig = {
    ...(bucket && { bucket }),
    descriptors: decodeDescriptors(message.descriptors, report),
    alwaysConsumeDefault: message.alwaysConsumeDefaultTokenBucket ?? true,
    maxDynamicDescriptors: message.maxDynamicDescriptors ?? 20,
    statPrefix: message.statPrefix,
    // Envoy: what is no error would let the caller believe that it was served.
    status: message.status && message.status.code >= 400 ? message.status.code : 429,
    ...(enabled && { enabled }),
    ...(enforced && { enforced }),
    requestHeaders: decodeHeaders(message, 'request', report),
    responseHeaders: decodeHeaders(message, 'response', report),
    stage: message.stage,
    perConnection: message.localRateLimitPerDownstreamConnection,
    rateLimitHeaders: message.enableXRatelimitHeaders === XRateLimitHeadersRFCVersion.DRAFT_VERSION_03,
    virtualHostRateLimits: ({ [VhRateLimitsOptions.OVERRIDE]: 'override', [VhRateLimitsOptions.INCLUDE]: 'include', [VhRateLimitsOptions.IGNORE]: 'ignore' } as const)[message.vhRateLimits] ?? 'override',
    resourceExhausted: message.rateLimitedAsResourceExhausted,
    rateLimits: decodeRateLimits(message.rateLimits, 'rate_limits', report, 'filter'),
    retryAfter: message.enableRetryAfterHeader,
  };
  report.finish('LocalRateLimit');
  return config;
}

function decodeDescriptors(messages: readonly LocalRateLimitDescriptor[], report: Report): LocalDescriptorConfig[] {
  const known = new Set<string>();
  return messages.flatMap((message, i) => {
    const path = `descriptors[${i}]`;
    report.check(descriptorFields, message, path);
    if (message.entries.length === 0) report.add(`${path}.entries`, 'must not be empty');
    const entries = message.entries.map((entry, j) => {
      report.check(entryFields, entry, `${path}.entries[${j}]`);
      if (entry.key === '') report.add(`${path}.entries[${j}].key`, 'must not be empty');
      return { key: entry.key, value: entry.value };
    });
    const key = keyOf(entries);
    if (known.has(key)) report.add(path, 'is there twice');
    known.add(key);
    if (!message.tokenBucket) report.add(`${path}.token_bucket`, 'is required');
    const bucket = message.tokenBucket && decodeBucket(message.tokenBucket, `${path}.token_bucket`, report);
    return bucket ? [{ entries, bucket }] : [];
  });
}

function decodeBucket(message: TokenBucket, path: string, report: Report): TokenBucketConfig | undefined {
  report.check(bucketFields, message, path);
  const fillIntervalMs = durationMs(message.fillInterval, join(path, 'fill_interval'), report);
  if (!message.fillInterval) report.add(join(path, 'fill_interval'), 'is required');
  else if (fillIntervalMs !== undefined && fillIntervalMs < 50) report.add(join(path, 'fill_interval'), 'must be at least 50 ms');
  if (message.maxTokens === 0) report.add(join(path, 'max_tokens'), 'must be greater than 0');
  if (message.tokensPerFill === 0) report.add(join(path, 'tokens_per_fill'), 'must be greater than 0');
  return fillIntervalMs === undefined ? undefined : { maxTokens: message.maxTokens, tokensPerFill: message.tokensPerFill ?? 1, fillIntervalMs };
}

function decodeHeaders(message: LocalRateLimit, of: 'request' | 'response', report: Report): HeaderMutation | undefined {
  const name = of === 'request' ? 'request_headers_to_add_when_not_enforced' : 'response_headers_to_add';
  const options = of === 'request' ? message.requestHeadersToAddWhenNotEnforced : message.responseHeadersToAdd;
  if (options.length > 10) report.add(name, 'must not have more than 10 entries');
  const before = report.problems.length;
  const add = options.map((option, i) => decodeHeaderAddition(option, `${name}[${i}]`, report));
  return report.problems.length === before ? report.attempt(name, () => compileHeaderMutation({ add, remove: [] }, of)) : undefined;
}
