// What a request may still try: its rules, how many attempts are left, where the next one may go and when.
import type { PickContext } from '../load-balancing/load-balancer.js';
import type { RetryPolicyConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseFlag } from '../stream/response-flag.js';
import type { ResponseHead, UpstreamFailure } from '../stream/response-head.js';
import type { Host } from '../upstream/host.js';
import type { RoutePriority, UpstreamCluster } from '../upstream/upstream-cluster.js';
import { askedDelay, retryDelay } from './backoff.js';
import { takeNumber } from './control-headers.js';
import { refusesOnRetry } from './host-predicates.js';
import { resetIntervalMs } from './reset-header.js';
import type { RetryBudget } from './retry-budget.js';
import { reachedHost, retriesFailure, retriesHead, retryRules, wordsOf, type RetryDecision, type RetryRules } from './retry-rules.js';

const defaultBackoff = { baseMs: 25, maxMs: 250 };

export class RetryState {
  readonly #rules: RetryRules;
  readonly #source: RetryPolicyConfig | undefined;
  readonly #request: RequestHead;
  #left: number;
  #made = 0;
  #reached = false;
  #attempted: Host[] | undefined;
  #place: Pick<UpstreamCluster, 'endRetry'> | undefined;
  #priority: RoutePriority = 'default';

  private constructor(rules: RetryRules, source: RetryPolicyConfig | undefined, request: RequestHead, retries: number) {
    this.#rules = rules;
    this.#source = source;
    this.#request = request;
    this.#left = retries;
  }

  /**
   * Takes the caller's `x-envoy-retry-*` headers, which add to the route's policy, out of the head. Undefined: one attempt.
   * @param steered whether the head has `x-envoy-*` headers at all.
   */
  static of(source: RetryPolicyConfig | undefined, head: RequestHead, steered: boolean): RetryState | undefined {
    if (!source && !steered) return undefined;
    const rules = retryRules(source, head, steered);
    const asked = steered ? takeNumber(head.headers, 'x-envoy-max-retries') : undefined;
    return rules && new RetryState(rules, source, head, asked ?? source?.numRetries ?? 1);
  }

  /** An attempt goes to this host. */
  used(host: Host): void {
    (this.#attempted ??= []).push(host);
  }

  /** The words of `retry_on` that count. */
  get on(): readonly string[] {
    return wordsOf(this.#rules);
  }

  /** Retries that are left. */
  get left(): number {
    return this.#left;
  }

  usedBefore(host: Host): boolean {
    return this.#attempted?.includes(host) === true;
  }

  /** What a retry asks of its host; of the first attempt nothing is asked. */
  constrain(context: PickContext): void {
    const source = this.#source;
    if (!source || !this.#attempted) return;
    context.hostSelectionAttempts = source.hostSelectionAttempts;
    if (source.avoidPreviousHosts) context.attempted = this.#attempted;
    const refuses = refusesOnRetry(source);
    if (refuses) context.refuses = refuses;
    if (source.previousPriorities) context.previousPriorities = { attempted: this.#attempted, updateFrequency: source.previousPriorities.updateFrequency };
  }

  /**
   * Takes one retry and a place among the cluster's concurrent ones. Undefined, or the flag that says why there is none.
   * One place a request, from the decision for its last retry on: the one before is over, or late (hedging).
   */
  take(cluster: Pick<UpstreamCluster, 'beginRetry' | 'endRetry'>, priority: RoutePriority, budget?: RetryBudget): ResponseFlag | undefined {
    this.release();
    if (this.#left === 0) return 'URX';
    this.#left--;
    if (!cluster.beginRetry(priority)) return 'UO';
    if (budget?.withdraw() === false) {
      cluster.endRetry(priority);
      return 'UO';
    }
    this.#place = cluster;
    this.#priority = priority;
    this.#made++;
    return undefined;
  }

  /** The last retry is over, or the request is. */
  release(): void {
    this.#place?.endRetry(this.#priority);
    this.#place = undefined;
  }

  /** Whether the policy calls this response retriable, whatever is left. */
  retriesHead(head: ResponseHead): RetryDecision {
    return retriesHead(this.#rules, head, this.#request);
  }

  /** Whether the policy calls this failure retriable, whatever is left. */
  retriesFailure(failure: UpstreamFailure): boolean {
    this.#reached ||= reachedHost(failure);
    return retriesFailure(this.#rules, failure, this.#reached);
  }

  /** Milliseconds until the retry that was taken. */
  delayMs(response: ResponseHead | undefined, random: () => number): number {
    const limited = this.#source?.rateLimitedBackoff;
    const asked = limited && response && resetIntervalMs(limited, response.headers, Date.now());
    if (asked) return askedDelay(asked, random);
    return retryDelay(this.#made, this.#source?.backoff ?? defaultBackoff, random);
  }
}
