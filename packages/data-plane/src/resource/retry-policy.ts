import { fromBinary, type DescMessage } from '@weft/xds-api/protobuf';
import {
  HedgePolicySchema,
  OmitCanaryHostsPredicateSchema,
  OmitHostMetadataConfigSchema,
  PreviousHostsPredicateSchema,
  PreviousPrioritiesConfigSchema,
  RetryPolicy_RateLimitedRetryBackOffSchema,
  RetryPolicy_ResetHeaderFormat as ResetHeaderFormat,
  RetryPolicy_ResetHeaderSchema,
  RetryPolicy_RetryBackOffSchema,
  RetryPolicySchema,
  type HedgePolicy,
  type RetryPolicy,
  type RouteAction,
} from '@weft/xds-api/route';
import { decodeHeaderMatcher } from './matcher.js';
import { join, knownFields, type Report } from './report.js';
import type { HedgePolicyConfig, RetryPolicyConfig } from './retry-config.js';
import { durationMs, filterMetadata, typeNameOf, unpack } from './value.js';

const fields = knownFields(RetryPolicySchema, ['retry_on', 'num_retries', 'per_try_timeout', 'per_try_idle_timeout', 'retry_priority', 'retry_host_predicate', 'host_selection_retry_max_attempts', 'retriable_status_codes', 'retry_back_off', 'rate_limited_retry_back_off', 'retriable_headers', 'retriable_request_headers']);
const backOffFields = knownFields(RetryPolicy_RetryBackOffSchema, ['base_interval', 'max_interval']);
const rateLimitedFields = knownFields(RetryPolicy_RateLimitedRetryBackOffSchema, ['reset_headers', 'max_interval']);
const resetHeaderFields = knownFields(RetryPolicy_ResetHeaderSchema, ['name', 'format']);
const hedgeFields = knownFields(HedgePolicySchema, ['hedge_on_per_try_timeout'], ['initial_requests', 'additional_request_chance']);
const previousHostsFields = knownFields(PreviousHostsPredicateSchema, []);
const omitCanaryFields = knownFields(OmitCanaryHostsPredicateSchema, []);
const omitMetadataFields = knownFields(OmitHostMetadataConfigSchema, ['metadata_match']);
const previousPrioritiesFields = knownFields(PreviousPrioritiesConfigSchema, ['update_frequency']);

/** Of a route or a virtual host, which may give its policy in an Any. */
export function decodeRetryPolicies({ retryPolicy, retryPolicyTypedConfig }: Pick<RouteAction, 'retryPolicy' | 'retryPolicyTypedConfig'>, path: string, report: Report): { retryPolicy?: RetryPolicyConfig } {
  if (retryPolicy) {
    if (retryPolicyTypedConfig) report.add(join(path, 'retry_policy_typed_config'), 'cannot stand beside retry_policy');
    return { retryPolicy: decodeRetryPolicy(retryPolicy, join(path, 'retry_policy'), report) };
  }
  if (!retryPolicyTypedConfig) return {};
  const at = join(path, 'retry_policy_typed_config');
  const policy = unpack(retryPolicyTypedConfig, RetryPolicySchema, at, report);
  return policy ? { retryPolicy: decodeRetryPolicy(policy, at, report) } : {};
}

/** Undefined fields where it is unset. */
export function decodeHedgePolicy(policy: HedgePolicy | undefined, path: string, report: Report): { hedgePolicy?: HedgePolicyConfig } {
  if (!policy) return {};
  report.check(hedgeFields, policy, path);
  if (policy.initialRequests === 0) report.add(join(path, 'initial_requests'), 'must be at least 1');
  return { hedgePolicy: { onPerTryTimeout: policy.hedgeOnPerTryTimeout } };
}

/** Envoy's defaults: 1 retry, back-off from 25 ms, at most ten times its base. */
export function decodeRetryPolicy(policy: RetryPolicy, path: string, report: Report): RetryPolicyConfig {
  report.check(fields, policy, path);
  const perTryTimeoutMs = durationMs(policy.perTryTimeout, join(path, 'per_try_timeout'), report);
  const perTryIdleTimeoutMs = durationMs(policy.perTryIdleTimeout, join(path, 'per_try_idle_timeout'), report);
  const matchers = (name: 'retriable_headers' | 'retriable_request_headers', list: RetryPolicy['retriableHeaders']) => list.map((matcher, i) => decodeHeaderMatcher(matcher, `${path}.${name}[${i}]`, report));
  return {
    // Trimmed: istiod and people write "cancelled, unavailable" (grpc-js-xds 1.14.1 then retries nothing).
    retryOn: policy.retryOn.split(',').map((word) => word.trim()).filter((word) => word !== ''),
    numRetries: policy.numRetries ?? 1,
    ...(perTryTimeoutMs !== undefined && { perTryTimeoutMs }),
    ...(perTryIdleTimeoutMs !== undefined && { perTryIdleTimeoutMs }),
    retriableStatusCodes: policy.retriableStatusCodes,
    retriableHeaders: matchers('retriable_headers', policy.retriableHeaders),
    retriableRequestHeaders: matchers('retriable_request_headers', policy.retriableRequestHeaders),
    backoff: decodeBackOff(policy, join(path, 'retry_back_off'), report),
    ...decodeRateLimitedBackOff(policy, join(path, 'rate_limited_retry_back_off'), report),
    ...decodeHostPredicates(policy, join(path, 'retry_host_predicate'), report),
    ...decodeRetryPriority(policy, join(path, 'retry_priority'), report),
    hostSelectionAttempts: hostSelectionAttempts(policy, join(path, 'host_selection_retry_max_attempts'), report),
  };
}

function decodeBackOff({ retryBackOff }: RetryPolicy, path: string, report: Report): RetryPolicyConfig['backoff'] {
  if (!retryBackOff) return { baseMs: 25, maxMs: 250 };
  report.check(backOffFields, retryBackOff, path);
  if (!retryBackOff.baseInterval) report.add(join(path, 'base_interval'), 'is required');
  const baseMs = durationMs(retryBackOff.baseInterval, join(path, 'base_interval'), report, { positive: true }) ?? 25;
  const maxMs = durationMs(retryBackOff.maxInterval, join(path, 'max_interval'), report, { positive: true }) ?? baseMs * 10;
  if (maxMs < baseMs) report.add(join(path, 'max_interval'), 'must not be less than base_interval');
  return { baseMs, maxMs };
}

function decodeRateLimitedBackOff({ rateLimitedRetryBackOff: backOff }: RetryPolicy, path: string, report: Report): Pick<RetryPolicyConfig, 'rateLimitedBackoff'> {
  if (!backOff) return {};
  report.check(rateLimitedFields, backOff, path);
  if (backOff.resetHeaders.length === 0) report.add(join(path, 'reset_headers'), 'must not be empty');
  const resetHeaders = backOff.resetHeaders.map((header, i) => {
    const at = `${path}.reset_headers[${i}]`;
    report.check(resetHeaderFields, header, at);
    if (header.name === '') report.add(join(at, 'name'), 'must not be empty');
    if (header.format !== ResetHeaderFormat.SECONDS && header.format !== ResetHeaderFormat.UNIX_TIMESTAMP) report.add(join(at, 'format'), `unknown value ${header.format as number}`);
    return { name: header.name.toLowerCase(), format: header.format === ResetHeaderFormat.UNIX_TIMESTAMP ? 'unix-timestamp' as const : 'seconds' as const };
  });
  return { rateLimitedBackoff: { resetHeaders, maxMs: durationMs(backOff.maxInterval, join(path, 'max_interval'), report, { positive: true }) ?? 300_000 } };
}

type HostPredicates = Pick<RetryPolicyConfig, 'avoidPreviousHosts' | 'omitCanaryHosts' | 'omitHostMetadata'>;

function decodeHostPredicates({ retryHostPredicate }: RetryPolicy, path: string, report: Report): HostPredicates {
  const predicates: HostPredicates = { avoidPreviousHosts: false };
  retryHostPredicate.forEach((predicate, i) => {
    const at = `${path}[${i}]`;
    const any = predicate.configType.value;
    const is = (schema: DescMessage, name: string) => (any ? typeNameOf(any) === schema.typeName : predicate.name === name);
    if (is(PreviousHostsPredicateSchema, 'envoy.retry_host_predicates.previous_hosts')) {
      if (any) report.attempt(`${at}.typed_config`, () => report.check(previousHostsFields, fromBinary(PreviousHostsPredicateSchema, any.value), `${at}.typed_config`));
      predicates.avoidPreviousHosts = true;
    } else if (is(OmitCanaryHostsPredicateSchema, 'envoy.retry_host_predicates.omit_canary_hosts')) {
      if (any) report.attempt(`${at}.typed_config`, () => report.check(omitCanaryFields, fromBinary(OmitCanaryHostsPredicateSchema, any.value), `${at}.typed_config`));
      predicates.omitCanaryHosts = true;
    } else if (any && typeNameOf(any) === OmitHostMetadataConfigSchema.typeName) {
      const config = report.attempt(`${at}.typed_config`, () => fromBinary(OmitHostMetadataConfigSchema, any.value));
      if (config) report.check(omitMetadataFields, config, `${at}.typed_config`);
      const labels = filterMetadata(config?.metadataMatch)['envoy.lb'];
      // No labels match no host (Envoy).
      if (labels && Object.keys(labels).length > 0) predicates.omitHostMetadata = [...(predicates.omitHostMetadata ?? []), labels];
    } else report.unsupported(at);
  });
  return predicates;
}

function decodeRetryPriority({ retryPriority }: RetryPolicy, path: string, report: Report): Pick<RetryPolicyConfig, 'previousPriorities'> {
  if (!retryPriority) return {};
  const any = retryPriority.configType.value;
  const at = join(path, 'typed_config');
  if (!any || typeNameOf(any) !== PreviousPrioritiesConfigSchema.typeName) {
    report.unsupported(any ? at : path);
    return {};
  }
  const config = report.attempt(at, () => fromBinary(PreviousPrioritiesConfigSchema, any.value));
  if (!config) return {};
  report.check(previousPrioritiesFields, config, at);
  if (config.updateFrequency <= 0) report.add(join(at, 'update_frequency'), 'must be greater than 0');
  return { previousPriorities: { updateFrequency: config.updateFrequency } };
}

function hostSelectionAttempts({ hostSelectionRetryMaxAttempts: attempts }: RetryPolicy, path: string, report: Report): number {
  if (attempts < 0n || attempts > 1000n) report.add(path, 'must be 0 to 1000');
  return attempts === 0n ? 1 : Number(attempts);
}
