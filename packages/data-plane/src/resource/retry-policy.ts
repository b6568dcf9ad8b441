import { fromBinary } from '@weft/xds-api/protobuf';
import { PreviousHostsPredicateSchema, RetryPolicy_RetryBackOffSchema, RetryPolicySchema, type RetryPolicy } from '@weft/xds-api/route';
import { decodeHeaderMatcher } from './matcher.js';
import { join, knownFields, type Report } from './report.js';
import type { RetryPolicyConfig } from './route-config.js';
import { durationMs, typeNameOf } from './value.js';

const fields = knownFields(RetryPolicySchema, ['retry_on', 'num_retries', 'per_try_timeout', 'per_try_idle_timeout', 'retry_host_predicate', 'host_selection_retry_max_attempts', 'retriable_status_codes', 'retry_back_off', 'retriable_headers', 'retriable_request_headers']);
const backOffFields = knownFields(RetryPolicy_RetryBackOffSchema, ['base_interval', 'max_interval']);
const noFields = knownFields(PreviousHostsPredicateSchema, []);

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
    avoidPreviousHosts: decodeHostPredicates(policy, join(path, 'retry_host_predicate'), report),
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

function decodeHostPredicates({ retryHostPredicate }: RetryPolicy, path: string, report: Report): boolean {
  let avoidPreviousHosts = false;
  retryHostPredicate.forEach(({ name, configType }, i) => {
    const any = configType.value;
    const known = any ? typeNameOf(any) === PreviousHostsPredicateSchema.typeName : name === 'envoy.retry_host_predicates.previous_hosts';
    if (!known) report.unsupported(`${path}[${i}]`);
    else if (any) report.attempt(`${path}[${i}].typed_config`, () => report.check(noFields, fromBinary(PreviousHostsPredicateSchema, any.value), `${path}[${i}].typed_config`));
    avoidPreviousHosts ||= known;
  });
  return avoidPreviousHosts;
}

function hostSelectionAttempts({ hostSelectionRetryMaxAttempts: attempts }: RetryPolicy, path: string, report: Report): number {
  if (attempts < 0n || attempts > 1000n) report.add(path, 'must be 0 to 1000');
  return attempts === 0n ? 1 : Number(attempts);
}
