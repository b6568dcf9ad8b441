// The attempts of one request: the host of each, its timeout, whether another follows and when, and which of them answers.
// The rules are those of Envoy's router (source/common/router/router.cc).
import type { Clock, Timer } from '@weft/spiffe';
import { hostCandidates, type HostCandidates } from '../load-balancing/override-hosts.js';
import type { ForwardActionConfig } from '../resource/route-config.js';
import { rewriteForHost, type SelectedRoute } from '../route/route-table.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, StreamEnd, UpstreamFailure } from '../stream/response-head.js';
import { addFlag, type StreamInfo } from '../stream/stream-info.js';
import { Host } from '../upstream/host.js';
import type { ChooseContext, UpstreamCluster } from '../upstream/upstream-cluster.js';
import { upstreamFailed } from './local-replies.js';
import { describeAttempt, describeHost } from './outbound-info.js';
import type { RetryBudget } from './retry-budget.js';
import type { RetryState } from './retry-state.js';
import { announceTimeout, type Timeouts } from './timeouts.js';
import { UpstreamRequest, type AttemptOwner } from './upstream-request.js';

/** What the request is asked for and told. After `stop()` or `onNoResponse` nothing more comes. */
export interface AttemptsOwner {
  /** Whether the body can be sent again from its start. */
  readonly replayable: boolean;
  connect(attempt: UpstreamRequest): void;
  /** The head of the response that is the caller's; edited in place, the adapter passes it on. */
  onResponseHead(head: ResponseHead): void;
  /** Whether the request goes on elsewhere because of this response, which is then read away. Nothing more comes of these attempts. */
  followed(head: ResponseHead): boolean;
  onResponseBroken(failure: UpstreamFailure): void;
  onResponseEnd(end: StreamEnd): void;
  /** Nothing came or went for as long as the route allows a request to be idle. */
  onIdle(): void;
  /** No attempt answers, and none follows. */
  onNoResponse(reply: LocalReply): void;
}

/** All that attempts have in common. */
export interface AttemptPlan {
  readonly info: StreamInfo;
  /** As it is sent, but for what differs by host and attempt. */
  readonly head: RequestHead;
  readonly cluster: UpstreamCluster;
  readonly route: SelectedRoute;
  readonly action: ForwardActionConfig;
  readonly timeouts: Timeouts;
  /** Whether hosts are told how long we wait. */
  readonly announce: boolean;
  /** performance.now() based; Infinity = none. */
  readonly deadline: number;
  /** Undefined: one attempt. */
  readonly retry: RetryState | undefined;
  /** The client's own, beside the cluster's limits. */
  readonly budget: RetryBudget | undefined;
  readonly hash: bigint | undefined;
}

export interface AttemptServices {
  readonly clock: Clock;
  random(): number;
}

/** Why an attempt is made after another one. */
interface Reason {
  readonly failure?: UpstreamFailure;
  readonly timedOut?: boolean;
}

const noCandidates: HostCandidates = { next: () => undefined };

export class Attempts implements AttemptOwner {
  readonly #owner: AttemptsOwner;
  readonly #services: AttemptServices;
  readonly #plan: AttemptPlan;
  /** The newest one: the only one after which another may follow. Once it is the caller's, there is no other. */
  #current: UpstreamRequest | undefined;
  /** Hedging: their per-try timeout started another attempt, but they may still be the first to answer. */
  #late: UpstreamRequest[] | undefined;
  #candidates: HostCandidates | undefined;
  /** As the last attempt's host was told. */
  #rewritten: RequestHead | undefined;
  #backoffTimer: Timer | undefined;
  /** What was sent on cannot be taken back. */
  #committed = false;
  #requestDone = false;
  #requestDoneAt = 0;
  #over = false;

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
    const { announce, retry } = this.#plan;
    if (announce && retry) this.#requestDoneAt = this.#services.clock.now();
    if (this.#current) this.#startTimeout(this.#current);
  }

  /** Ends what runs with the hosts. The accounting first: what the adapter then says about its own abort must not count. */
  abandon(reason: Error, failure: UpstreamFailure['kind'] | undefined): void {
    // The answer that comes instead may take its time in filters: no retry starts meanwhile.
    this.#over = true;
    this.#backoffTimer?.cancel();
    const current = this.#current;
    const late = this.#late;
    this.#current = this.#late = undefined;
    if (current) end(current, reason, failure);
    if (late) for (const attempt of late) end(attempt, reason, failure);
  }

  /** The request is over, however it ended. */
  stop(): void {
    this.#over = true;
    this.#current = undefined;
    if (this.#late) this.#endLate(undefined);
    this.#backoffTimer?.cancel();
    const { retry, budget, info } = this.#plan;
    retry?.release();
    if (budget && info.attempts === 1) budget.deposit();
  }

  /** Each attempt passes drops, circuit breaker and picker anew: hosts may have come, gone or been ejected since the last one. */
  #tryHost(reason: Reason | undefined): boolean {
    const { info, cluster, route, action, retry, hash, timeouts, deadline } = this.#plan;
    const context: ChooseContext = { attempt: info.attempts, priority: action.priority, authority: this.#plan.head.authority };
    if (hash !== undefined) context.hash = hash;
    if (route.metadataMatch) context.metadataMatch = route.metadataMatch;
    if (retry) retry.constrain(context);
    // Of the first attempt only, as in Envoy: a retry is there to find another host.
    if (info.overrideHost && info.attempts === 0) context.overrideHost = info.overrideHost;
    if (cluster.config.overrideHosts) context.candidates = this.#candidates ??= hostCandidates(cluster.config.overrideHosts, this.#plan.head, info) ?? noCandidates;
    const chosen = cluster.choose(context);
    if (!(chosen instanceof Host)) {
      // A full cluster is no answer while another attempt may bring one.
      if (chosen.flag === 'UO' && this.#late) return false;
      return this.#fail(chosen);
    }
    // Who could not prove its identity a moment ago is not asked again by the same request.
    if (reason?.failure?.kind === 'identity' && retry?.usedBefore(chosen)) return this.#fail(upstreamFailed(reason.failure, info.attempts));
    retry?.used(chosen);
    // The host's own: behind an aggregate cluster, the member it belongs to.
    describeAttempt(info, chosen, chosen.cluster);
    const head = this.#headFor(chosen, reason);
    const attempt = new UpstreamRequest(this, chosen, chosen.cluster, head, action.priority, { number: info.attempts, deadline, idleTimeoutMs: smallest(timeouts.perTryIdleMs, timeouts.idleMs) });
    this.#current = attempt;
    this.#owner.connect(attempt);
    return true;
  }

  #headFor(host: Host, reason: Reason | undefined): RequestHead {
    const { info: { attempts }, route, action, timeouts, deadline, announce } = this.#plan;
    let { head } = this.#plan;
    if (action.hostRewrite?.kind === 'auto') {
      // Of its own, since the next attempt's host has another name. It begins where the last one ended, as in Envoy.
      const before = this.#rewritten ?? head;
      head = this.#rewritten = { ...before, headers: before.headers.clone() };
      rewriteForHost(head, action, host);
    }
    if (route.includeAttemptCount) {
      head.headers.set('x-envoy-attempt-count', String(attempts));
      // Mirrors say it, too.
      if (attempts === 1) this.#plan.head.headers.set('x-envoy-attempt-count', '1');
    }
    // Of a maximum duration that is only the configuration's, hosts hear nothing, as from Envoy.
    if (announce) announceTimeout(head, timeouts, this.#requestDoneAt > 0 ? this.#services.clock.now() - this.#requestDoneAt : 0, timeouts.deadlineOfCaller ? deadline - performance.now() : Infinity);
    if (reason) {
      if (route.includeIsTimeoutRetry) head.headers.set('x-envoy-is-timeout-retry', String(reason.timedOut === true));
      // gRFC A6: the server learns that it may have seen the call before.
      if (head.protocol === 'grpc') head.headers.set('grpc-previous-rpc-attempts', String(attempts - 1));
    }
    return head;
  }

  onAttemptReady(attempt: UpstreamRequest): void {
    if (this.#requestDone && attempt === this.#current) this.#startTimeout(attempt);
  }

  onAttemptInformation(attempt: UpstreamRequest): void {
    if (this.#committed || !this.#isAwaited(attempt)) return;
    this.#commit(attempt);
  }

  // First whether another attempt follows, since nothing that was passed on can be taken back.
  onAttemptHead(attempt: UpstreamRequest, head: ResponseHead): 'forward' | 'discard' {
    if (!this.#isAwaited(attempt)) return 'discard';
    const { retry } = this.#plan;
    if (retry && !this.#committed) {
      const decision = retry.retriesHead(head);
      if (decision !== 'no') {
        const retried = attempt === this.#current && this.#mayRetry(retry);
        if (retried || this.#othersThan(attempt)) {
          attempt.finish(undefined);
          this.#forget(attempt);
          if (retried) this.#retryAfter(decision === 'now' ? 0 : retry.delayMs(head, () => this.#services.random()), {});
          return 'discard';
        }
      }
    }
    this.#commit(attempt);
    if (this.#plan.route.internalRedirect && this.#owner.followed(head)) {
      attempt.finish(undefined);
      return 'discard';
    }
    this.#owner.onResponseHead(head);
    return 'forward';
  }

  onAttemptTimeout(attempt: UpstreamRequest): boolean {
    const { retry, timeouts } = this.#plan;
    if (!timeouts.hedge || attempt !== this.#current || this.#committed) return false;
    // Its host is charged with it now, whatever comes of it.
    attempt.cluster.timedOut(attempt.host);
    // Whatever the policy's words say: a timeout that is not the end of the attempt has no status (Envoy).
    if (retry && this.#mayRetry(retry)) {
      (this.#late ??= []).push(attempt);
      this.#current = undefined;
      this.#retryAfter(retry.delayMs(undefined, () => this.#services.random()), { timedOut: true });
    }
    return true;
  }

  onAttemptFailure(attempt: UpstreamRequest, failure: UpstreamFailure): void {
    if (!this.#isAwaited(attempt)) return;
    const { retry, info, timeouts } = this.#plan;
    if (failure.idle === true && timeouts.idleMs > 0 && (timeouts.perTryIdleMs === 0 || timeouts.idleMs <= timeouts.perTryIdleMs)) return this.#owner.onIdle();
    const last = attempt === this.#current;
    this.#forget(attempt);
    if (last && retry && !this.#committed && retry.retriesFailure(failure) && this.#mayRetry(retry)) {
      this.#retryAfter(retry.delayMs(undefined, () => this.#services.random()), { failure, timedOut: failure.kind === 'per-try-timeout' });
    } else if (!this.#othersThan(attempt)) {
      this.#fail(upstreamFailed(failure, info.attempts, timeouts.alternativeStatus));
    }
  }

  onAttemptBroken(attempt: UpstreamRequest, failure: UpstreamFailure): void {
    if (attempt === this.#current) this.#owner.onResponseBroken(failure);
  }

  onAttemptEnd(attempt: UpstreamRequest, end: StreamEnd): void {
    if (attempt === this.#current) this.#owner.onResponseEnd(end);
  }

  /** This one is the caller's; the others lose. */
  #commit(attempt: UpstreamRequest): void {
    this.#committed = true;
    const { retry, info } = this.#plan;
    if (this.#late) this.#endLate(attempt);
    const other = this.#current;
    if (other !== attempt) {
      this.#current = attempt;
      if (other) end(other, new Error('another attempt was faster'), undefined);
      describeHost(info, attempt.host, attempt.cluster);
    }
    this.#backoffTimer?.cancel();
    this.#backoffTimer = undefined;
    retry?.release();
  }

  #endLate(but: UpstreamRequest | undefined): void {
    const late = this.#late!;
    this.#late = undefined;
    for (const attempt of late) if (attempt !== but) end(attempt, new Error('another attempt was faster'), undefined);
  }

  #isAwaited(attempt: UpstreamRequest): boolean {
    return attempt === this.#current || this.#late?.includes(attempt) === true;
  }

  /** Whether a response may still come from elsewhere. */
  #othersThan(attempt: UpstreamRequest): boolean {
    if (this.#backoffTimer !== undefined || (this.#current !== undefined && this.#current !== attempt)) return true;
    return this.#late !== undefined && this.#late.some((other) => other !== attempt);
  }

  #forget(attempt: UpstreamRequest): void {
    if (attempt === this.#current) this.#current = undefined;
    else this.#late = this.#late?.filter((other) => other !== attempt);
    if (this.#late?.length === 0) this.#late = undefined;
  }

  /** Whether a retriable outcome is retried: a body that can be sent again, the policy's count, and a place among the cluster's retries. */
  #mayRetry(retry: RetryState): boolean {
    if (!this.#owner.replayable) return false;
    const { info, cluster, action, budget } = this.#plan;
    const refused = retry.take(cluster, action.priority, budget);
    if (refused) addFlag(info, refused);
    return refused === undefined;
  }

  #retryAfter(ms: number, reason: Reason): void {
    this.#backoffTimer = this.#services.clock.setTimeout(() => {
      this.#backoffTimer = undefined;
      if (!this.#over) this.#tryHost(reason);
    }, ms);
  }

  #startTimeout(attempt: UpstreamRequest): void {
    const { perTryMs } = this.#plan.timeouts;
    if (perTryMs > 0) attempt.startTimeout(this.#services.clock, perTryMs);
  }

  #fail(reply: LocalReply): false {
    this.#over = true;
    if (this.#late) this.#endLate(undefined);
    this.#owner.onNoResponse(reply);
    return false;
  }
}

function end(attempt: UpstreamRequest, reason: Error, failure: UpstreamFailure['kind'] | undefined): void {
  // A host is not charged twice with one timeout.
  attempt.finish(failure === 'per-try-timeout' && attempt.timedOut ? undefined : failure);
  attempt.abort?.(reason);
}

function smallest(a: number, b: number): number {
  return a > 0 && b > 0 ? Math.min(a, b) : a || b;
}
