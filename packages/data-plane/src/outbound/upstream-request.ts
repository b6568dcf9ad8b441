// One attempt: its accounting (every begin has one end), its own timeout, and which of its events still count.
import type { Clock, Timer } from '@weft/spiffe';
import type { AttemptTracker, HeaderLookup } from '../load-balancing/load-balancer.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, StreamEnd, UpstreamFailure } from '../stream/response-head.js';
import type { AttemptOutcome } from '../upstream/attempt-outcome.js';
import type { Host, HostCluster, RoutePriority } from '../upstream/host.js';
import type { UpstreamAttempt } from './downstream.js';

/** Where an attempt's events go. */
export interface AttemptOwner {
  /** It has its connection. */
  onAttemptReady(attempt: UpstreamRequest): void;
  /** A response below 200 came. */
  onAttemptInformation(attempt: UpstreamRequest): void;
  /** Its time is over without a head. True: it goes on nevertheless. */
  onAttemptTimeout(attempt: UpstreamRequest): boolean;
  onAttemptHead(attempt: UpstreamRequest, head: ResponseHead): 'forward' | 'discard';
  /** No head was forwarded. */
  onAttemptFailure(attempt: UpstreamRequest, failure: UpstreamFailure): void;
  /** A forwarded response broke off. */
  onAttemptBroken(attempt: UpstreamRequest, failure: UpstreamFailure): void;
  onAttemptEnd(attempt: UpstreamRequest, end: StreamEnd): void;
}

export interface AttemptOptions {
  readonly number: number;
  readonly deadline: number;
  readonly idleTimeoutMs: number;
}

export class UpstreamRequest implements UpstreamAttempt {
  readonly host: Host;
  readonly cluster: HostCluster;
  readonly head: RequestHead;
  readonly number: number;
  readonly deadline: number;
  readonly idleTimeoutMs: number;
  readonly onFirstData: (() => void) | undefined;
  readonly onTrailers: ((trailers: HeaderLookup) => void) | undefined;
  abort: ((reason: Error) => void) | undefined;
  readonly #owner: AttemptOwner;
  readonly #priority: RoutePriority;
  /** Pinned: a policy that comes in the meantime has not seen the start. */
  readonly #track: AttemptTracker | undefined;
  readonly #startTime = performance.now();
  #state: 'waiting' | 'forwarding' | 'done' = 'waiting';
  #status: number | undefined;
  #grpcStatus: number | undefined;
  #trailersOnly = false;
  #timer: Timer | undefined;
  #ready = false;
  #timedOut = false;

  constructor(owner: AttemptOwner, host: Host, cluster: HostCluster, head: RequestHead, priority: RoutePriority, { number, deadline, idleTimeoutMs }: AttemptOptions) {
    this.#owner = owner;
    this.host = host;
    this.cluster = cluster;
    this.head = head;
    this.#priority = priority;
    this.number = number;
    this.deadline = deadline;
    this.idleTimeoutMs = idleTimeoutMs;
    cluster.begin(host, priority);
    const track = cluster.tracker?.begin(host);
    this.#track = track;
    this.onFirstData = track?.firstData && (() => track.firstData!(performance.now() - this.#startTime));
    this.onTrailers = track?.trailers && ((trailers) => track.trailers!(trailers));
  }

  /** Its per-try timeout is over, and it goes on (hedging). */
  get timedOut(): boolean {
    return this.#timedOut;
  }

  onReady(): void {
    this.#ready = true;
    if (this.#state === 'waiting') this.#owner.onAttemptReady(this);
  }

  onInformation(): void {
    if (this.#state === 'waiting') this.#owner.onAttemptInformation(this);
  }

  /** The request is out: from its connection on, the attempt has this long to bring a head. */
  startTimeout(clock: Clock, ms: number): void {
    if (this.#state !== 'waiting' || !this.#ready || this.#timer) return;
    this.#timer = clock.setTimeout(() => {
      if (this.#state !== 'waiting') return;
      if (this.#owner.onAttemptTimeout(this)) {
        this.#timedOut = true;
        return;
      }
      const failure: UpstreamFailure = { kind: 'per-try-timeout', message: `no response in ${ms} ms` };
      // Reported before the abort, so that the adapter's own word about the abort comes too late to count.
      const { abort } = this;
      this.onFailure(failure);
      abort?.(new Error(failure.message));
    }, ms);
  }

  onHead(head: ResponseHead): 'forward' | 'discard' {
    if (this.#state !== 'waiting') return 'discard';
    this.#status = head.status;
    this.#grpcStatus = head.grpcStatus;
    this.#trailersOnly = head.grpcStatus !== undefined;
    this.#track?.head?.(head);
    const verdict = this.#owner.onAttemptHead(this, head);
    // A per-try timeout ends with the head: it must not cut a response that is being forwarded.
    this.#timer?.cancel();
    if (verdict === 'forward') this.#state = 'forwarding';
    return verdict;
  }

  onFailure(failure: UpstreamFailure): void {
    const was = this.#state;
    if (was === 'done') return;
    this.finish(failure.kind);
    if (was === 'waiting') this.#owner.onAttemptFailure(this, failure);
    else this.#owner.onAttemptBroken(this, failure);
  }

  onEnd(end: StreamEnd): void {
    if (this.#state !== 'forwarding') return;
    this.#grpcStatus = end.grpcStatus ?? this.#grpcStatus;
    this.finish(undefined);
    this.#owner.onAttemptEnd(this, end);
  }

  /** Ends the accounting. Without status and failure: the caller gave up, which says nothing about the host. */
  finish(failure: UpstreamFailure['kind'] | undefined): void {
    if (this.#state === 'done') return;
    this.#state = 'done';
    this.#timer?.cancel();
    const outcome: AttemptOutcome = { durationMs: performance.now() - this.#startTime };
    if (this.#status !== undefined) outcome.status = this.#status;
    if (this.#grpcStatus !== undefined) outcome.grpcStatus = this.#grpcStatus;
    if (this.#trailersOnly) outcome.trailersOnly = true;
    if (failure !== undefined) outcome.failure = failure;
    this.cluster.end(this.host, this.#priority, outcome);
    this.#track?.end(outcome);
  }
}
