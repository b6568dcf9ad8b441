// Retries: Istio's default policy unless the rule gives another (contracts.md 5).
import { PreviousHostsPredicateSchema, PreviousPrioritiesConfigSchema, type RetryPolicySchema } from '@weft/xds-api/route';
import type { RetryPolicy } from '../model/route-rule.js';
import type { ProfileName } from './generator.js';
import { duration, extension, type Init } from './message.js';

type RetryPolicyInit = Init<typeof RetryPolicySchema>;

const defaultPolicy: RetryPolicy = { attempts: 2, retryOn: [], statusCodes: [], ignorePreviousHosts: true, remoteLocalities: false };
const defaultWords = ['connect-failure', 'refused-stream', 'unavailable', 'cancelled'];
const statusCodesWord = 'retriable-status-codes';

/** @param consistentHash the destination picks by hash: avoiding tried hosts would send the request to a stranger. */
export function retryPolicy(
  profile: ProfileName,
  policy: RetryPolicy = defaultPolicy,
  consistentHash: boolean,
  warn: (reason: string) => void,
): RetryPolicyInit | undefined {
  if (policy.attempts <= 0) return undefined;
  if (profile === 'grpc') return grpcRetryPolicy(policy, warn);
  const words = policy.retryOn.length > 0 ? [...policy.retryOn] : [...defaultWords, statusCodesWord];
  if (policy.statusCodes.length > 0 && !words.includes(statusCodesWord)) words.push(statusCodesWord);
  return {
    retryOn: words.join(','),
    numRetries: policy.attempts,
    retriableStatusCodes: [...policy.statusCodes],
    ...(policy.perTryTimeoutMs ? { perTryTimeout: duration(policy.perTryTimeoutMs) } : {}),
    ...(policy.backoffMs ? { retryBackOff: { baseInterval: duration(policy.backoffMs) } } : {}),
    ...(policy.ignorePreviousHosts && !consistentHash
      ? { retryHostPredicate: [extension('envoy.retry_host_predicates.previous_hosts', PreviousHostsPredicateSchema, {})], hostSelectionRetryMaxAttempts: 5n }
      : {}),
    ...(policy.remoteLocalities
      ? { retryPriority: extension('envoy.retry_priorities.previous_priorities', PreviousPrioritiesConfigSchema, { updateFrequency: 2 }) }
      : {}),
  };
}

const grpcWords = ['cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable'];
/** gRPC retries these by itself, before the server saw the call (transparent retries). */
const transparentWords = ['connect-failure', 'refused-stream', statusCodesWord];

/** grpc-js-xds joins seconds and nanoseconds as text, so that 1 s becomes about 10 s: whole seconds never leave here. */
const grpcBackoffCapMs = 999;

function grpcRetryPolicy(policy: RetryPolicy, warn: (reason: string) => void): RetryPolicyInit | undefined {
  const asked = policy.retryOn.length > 0 ? policy.retryOn : defaultWords;
  const lost = asked.filter((word) => !grpcWords.includes(word) && !transparentWords.includes(word));
  if (lost.length > 0) warn(`retries.retryOn: gRPC cannot retry on ${lost.join(', ')}`);
  if (policy.statusCodes.length > 0) warn('retries.retryOn: gRPC cannot retry on HTTP status codes');
  if (policy.perTryTimeoutMs) warn('retries.perTryTimeout: gRPC has no timeout per attempt');
  if (policy.remoteLocalities) warn('retries.retryRemoteLocalities: gRPC has no such choice');
  const words = grpcWords.filter((word) => asked.includes(word));
  if (words.length === 0) return undefined;
  if (policy.backoffMs && policy.backoffMs > grpcBackoffCapMs) warn(`retries.backoff: cut to ${grpcBackoffCapMs} ms for gRPC`);
  const baseMs = policy.backoffMs && Math.min(policy.backoffMs, grpcBackoffCapMs);
  return {
    retryOn: words.join(','),
    numRetries: policy.attempts,
    ...(baseMs ? { retryBackOff: { baseInterval: duration(baseMs), maxInterval: duration(Math.min(10 * baseMs, grpcBackoffCapMs)) } } : {}),
  };
}
