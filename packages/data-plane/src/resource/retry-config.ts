// What a route (or virtual host) says about further attempts.
import type { HeaderMatcherConfig } from './matcher-config.js';

export interface RetryPolicyConfig {
  retryOn: readonly string[];
  numRetries: number;
  perTryTimeoutMs?: number;
  perTryIdleTimeoutMs?: number;
  retriableStatusCodes: readonly number[];
  retriableHeaders: readonly HeaderMatcherConfig[];
  retriableRequestHeaders: readonly HeaderMatcherConfig[];
  backoff: { baseMs: number; maxMs: number };
  /** Waits that the response asks for; a longer one than `maxMs` is not believed. */
  rateLimitedBackoff?: { resetHeaders: readonly ResetHeaderConfig[]; maxMs: number };
  /** previous_hosts: hosts of earlier attempts are picked anew. */
  avoidPreviousHosts: boolean;
  /** omit_canary_hosts, omit_host_metadata: so are these. */
  omitCanaryHosts?: boolean;
  /** Of `envoy.lb`. */
  omitHostMetadata?: readonly Readonly<Record<string, unknown>>[];
  hostSelectionAttempts: number;
  /** previous_priorities: after so many attempts, the priorities they used are left out. */
  previousPriorities?: { updateFrequency: number };
}

export interface ResetHeaderConfig {
  name: string;
  format: 'seconds' | 'unix-timestamp';
}

export interface HedgePolicyConfig {
  /** A per-try timeout starts another attempt and leaves the one that is late its chance. */
  onPerTryTimeout: boolean;
}
