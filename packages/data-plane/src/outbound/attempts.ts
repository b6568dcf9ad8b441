// The attempts of one request: the host of each, its timeout, whether another follows and when, and which of them answers.
import type { Clock, Timer } from '@weft/spiffe';
import type { ForwardActionConfig } from '../resource/route-config.js';
import { rewriteForHost, type SelectedRoute } from '../route/route-table.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, StreamEnd, UpstreamFailure } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { Host } from '../upstream/host.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import { retryDelay } from './backoff.js';
import { upstreamFailed } from './local-replies.js';
import { describeAttempt } from './outbound-info.js';
import type { RetryState } from './retry-state.js';
import type { Timeouts } from './timeouts.js';
import { UpstreamRequest, type AttemptOwner } from './upstream-request.js';

/** What the request is asked for and told. After `stop()`, `answered` or `failed` nothing more comes. */
export interface AttemptsOwner {
  /** Whether the body can be sent again from its start. */
  readonly replayable: boolean;
  connect(attempt: UpstreamRequest): void;
  /** The head of the response that is the caller's; edited in place, the adapter passes it on. */
  onResponseHead(head: ResponseHead): void;
  onResponseBroken(failure: UpstreamFailure): void;
  onResponseEnd(end: StreamEnd): void;
  /** No attempt answers, and none follows. */
  onNoResponse(reply: LocalReply): void;
}

/** All that attempts have in common. */
export interface AttemptPlan {
  readonly info: StreamInfo;
  /** As it is sent, but for what differs by host. */
  readonly head: RequestHead;
  readonly cluster: UpstreamCluster;
  readonly route: SelectedRoute;
  readonly action: ForwardActionConfig;
  readonly timeouts: Timeouts;
  /** performance.now() based; Infinity = none. */
  readonly deadline: number;
  /** Undefined: one attempt. */
  readonly retry: RetryState | undefined;
  readonly hash: bigint | undefined;
}

export interface AttemptServices {
  readonly clock: Clock;
  random(): number;
}

const noHosts: readonly Host[] = [];

export class Attempts implements AttemptOwner {
  readonly #owner: AttemptsOwner;
  readonly #services: AttemptServices;
  readonly #plan: AttemptPlan;
  #current: UpstreamRequest | undefined;
  #attempted: Host[] | undefined;
  #requestDone = false;
  #over = false;
  #backoffTimer: Timer | undefined;

  constructor(owner: AttemptsOwner, services: AttemptServices, plan: AttemptPlan) {
    this.#owner = owner;
    this.#services = services;
    this.#plan = plan;
  }

  /** False where no host could be chosen. */
  start(): boolean {
    return this.#tryHost(undefined);
  }

  /** The request is out: the time an attempt has for its response starts. */
  requestEnd(): void {
    this.#requestDone = true;
    const { perTryMs } = this.#plan.timeouts;
    if (perTryMs > 0) this.#current?.startTimeout(this.#services.clock, perTryMs);
  }

  /** Ends what runs with the hosts. The accounting first: what the adapter then says about its own abort must not count. */
  abandon(reason: Error, failure: UpstreamFailure['kind'] | undefined): void {
    const current = this.#current;
    if (!current) return;
    this.#current = undefined;
    current.finish(failure);
    current.abort?.(reason);
  }

  /** The request is over, however it ended. */
  stop(): void {
    this.#over = true;
    this.#current = undefined;
    this.#backoffTimer?.cancel();
    this.#plan.retry?.release();
  }

  /** Each attempt passes drops, circuit breaker and picker anew: hosts may have come, gone or been ejected since the last one. */
  #tryHost(last: UpstreamFailure | undefined): boolean {
    const { info, cluster, route, action, retry, hash, timeouts, deadline } = this.#plan;
    const chosen = cluster.choose({
      attempt: info.attempts,
      attempted: retry?.avoidPreviousHosts === true ? (this.#attempted ?? noHosts) : noHosts,
      ...(retry && { hostSelectionAttempts: retry.hostSelectionAttempts }),
      ...(hash !== undefined && { hash }),
      priority: action.priority,
      ...(route.metadataMatch && { metadataMatch: route.metadataMatch }),
      // Of the first attempt only, as in Envoy: a retry is there to find another host.
      ...(info.overrideHost && info.attempts === 0 && { overrideHost: info.overrideHost }),
    });
    if (!(chosen instanceof Host)) return this.#fail(chosen);
    // Who could not prove its identity a moment ago is not asked again by the same request.
    if (last?.kind === 'identity' && this.#attempted?.includes(chosen)) return this.#fail(upstreamFailed(last, info.attempts));
    (this.#attempted ??= []).push(chosen);
    // The host's own: behind an aggregate cluster, the member it belongs to.
    describeAttempt(info, chosen, chosen.cluster);
    let { head } = this.#plan;
    if (action.hostRewrite?.kind === 'auto') {
      // Of its own, since the next attempt's host has another name.
      head = { ...head, headers: head.headers.clone() };
      rewriteForHost(head, action, chosen);
    }
    if (route.includeAttemptCount) head.headers.set('x-envoy-attempt-count', String(info.attempts));
    const attempt = new UpstreamRequest(this, chosen, chosen.cluster, head, action.priority, { number: info.attempts, deadline, idleTimeoutMs: timeouts.idleMs });
    this.#current = attempt;
    if (this.#requestDone && timeouts.perTryMs > 0) attempt.startTimeout(this.#services.clock, timeouts.perTryMs);
    this.#owner.connect(attempt);
    return true;
  }

  // First whether another attempt follows, since nothing that was passed on can be taken back.
  onAttemptHead(attempt: UpstreamRequest, head: ResponseHead): 'forward' | 'discard' {
    if (attempt !== this.#current) return 'discard';
    const { retry } = this.#plan;
    if (retry?.retriesHead(head) && this.#mayRetry(retry)) {
      attempt.finish(undefined);
      this.#retryLater(retry, undefined);
      return 'discard';
    }
    retry?.release();
    this.#owner.onResponseHead(head);
    return 'forward';
  }

  onAttemptFailure(attempt: UpstreamRequest, failure: UpstreamFailure): void {
    if (attempt !== this.#current) return;
    const { retry, info } = this.#plan;
    if (retry?.retriesFailure(failure) && this.#mayRetry(retry)) this.#retryLater(retry, failure);
    else this.#fail(upstreamFailed(failure, info.attempts));
  }

  onAttemptBroken(attempt: UpstreamRequest, failure: UpstreamFailure): void {
    if (attempt === this.#current) this.#owner.onResponseBroken(failure);
  }

  onAttemptEnd(attempt: UpstreamRequest, end: StreamEnd): void {
    if (attempt === this.#current) this.#owner.onResponseEnd(end);
  }

  /** Whether a retriable outcome is retried: a body that can be sent again, the policy's count, and a place among the cluster's retries. */
  #mayRetry(retry: RetryState): boolean {
    if (!this.#owner.replayable) return false;
    const { info, cluster, action } = this.#plan;
    const refused = retry.take(cluster, action.priority);
    if (refused) info.flags.push(refused);
    return refused === undefined;
  }

  #retryLater(retry: RetryState, last: UpstreamFailure | undefined): void {
    const services = this.#services;
    this.#current = undefined;
    this.#backoffTimer = services.clock.setTimeout(() => {
      this.#backoffTimer = undefined;
      if (!this.#over) this.#tryHost(last);
    }, retryDelay(retry.made, retry.backoff, () => services.random()));
  }

  #fail(reply: LocalReply): false {
    this.#owner.onNoResponse(reply);
    return false;
  }
}
