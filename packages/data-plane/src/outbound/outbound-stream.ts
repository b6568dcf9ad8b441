// The order of an outbound request. Every step stands where it does for a reason, given at it.
import type { Clock, Timer } from '@weft/spiffe';
import { currentContext, type RequestContext } from '../context/request-context.js';
import { MeshError } from '../errors.js';
import type { StreamFilters } from '../filter/filter-chain.js';
import type { ForwardActionConfig } from '../resource/route-config.js';
import { applyRequestMutations, applyResponseMutations, redirectReply, rewrite, rewriteForHost, type SelectedRoute } from '../route/route-table.js';
import type { OutboundListenerSnapshot } from '../snapshot/outbound-listener.js';
import { HeaderMap } from '../stream/header-map.js';
import { grpcStatusOf, type LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, StreamEnd, UpstreamFailure } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { Telemetry, TelemetryStream } from '../telemetry/telemetry.js';
import { Host } from '../upstream/host.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import { retryDelay } from './backoff.js';
import type { Downstream } from './downstream.js';
import { callerGone, clusterNotFound, durationTimeout, responseTimeout, routeNotFound, upstreamFailed } from './local-replies.js';
import type { OutboundStream, StreamOptions } from './outbound-engine.js';
import { describeAttempt, outboundInfo } from './outbound-info.js';
import { RetryState } from './retry-state.js';
import { shadow } from './shadow.js';
import { timeoutsOf, type Timeouts } from './timeouts.js';
import { UpstreamRequest, type AttemptOwner } from './upstream-request.js';

export interface StreamServices {
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  random(): number;
}

const noHosts: readonly Host[] = [];

export class OutboundRequest implements OutboundStream, AttemptOwner {
  readonly info: StreamInfo;
  readonly #services: StreamServices;
  // The snapshot is pinned: an update in the middle must not mix an old route with a new cluster.
  readonly #snapshot: OutboundListenerSnapshot;
  readonly #head: RequestHead;
  readonly #downstream: Downstream;
  readonly #callerDeadline: number;
  readonly #trace: TelemetryStream | undefined;
  #route: SelectedRoute | undefined;
  #action: ForwardActionConfig | undefined;
  #cluster: UpstreamCluster | undefined;
  #filters: StreamFilters | undefined;
  #timeouts: Timeouts | undefined;
  #deadline = Infinity;
  #retry: RetryState | undefined;
  #attempt: UpstreamRequest | undefined;
  #attempted: Host[] | undefined;
  #hash: bigint | undefined;
  #setCookies: readonly string[] | undefined;
  #responseHead: ResponseHead | undefined;
  #requestDone = false;
  #completed = false;
  #durationTimer: Timer | undefined;
  #routeTimer: Timer | undefined;
  #backoffTimer: Timer | undefined;
  /** Of the inbound request that this one is made for. */
  readonly #context: RequestContext | undefined;
  readonly #onContextAbort: (() => void) | undefined;

  constructor(services: StreamServices, snapshot: OutboundListenerSnapshot, head: RequestHead, downstream: Downstream, options: StreamOptions | undefined) {
    this.#services = services;
    this.#snapshot = snapshot;
    this.#head = head;
    this.#downstream = downstream;
    const context = currentContext();
    this.#context = context;
    this.#callerDeadline = Math.min(options?.deadline ?? Infinity, context?.deadline ?? Infinity);
    if (context?.signal) {
      this.#onContextAbort = () => this.#cut(callerGone(context.signal!.reason), undefined);
      context.signal.addEventListener('abort', this.#onContextAbort, { once: true });
    }
    this.info = outboundInfo(head);
    // 1. Telemetry first: whatever happens next is part of the request's duration, and routes may match on the trace headers.
    this.#trace = services.telemetry.start(this.info, head);
  }

  run(): void {
    if (this.#context?.signal?.aborted) return this.#reply(callerGone(this.#context.signal.reason));
    // 2. The route, on the head as the application wrote it. The weighted cluster is chosen here, once: retries stay on it.
    const route = this.#snapshot.routes.select(this.#head, this.info);
    if (!route) return this.#reply(routeNotFound);
    this.#route = route;
    this.info.routeName = route.entry.name;
    // Known to filters and metrics: a fault may be meant for one upstream cluster only, and counts for its service.
    this.info.clusterName = route.cluster ?? '';
    this.#cluster = this.#snapshot.clusters.get(this.info.clusterName);
    if (this.#cluster?.config.service) this.info.destination = this.#cluster.config.service;
    // 3. Filters before anything is changed for the upstream, as in Envoy: a fault's header conditions see the caller's own headers.
    //    Once a request, not once an attempt: a retry must not be aborted or delayed by the same fault again.
    const filters = this.#snapshot.filters.forRoute(route);
    if (!filters) return this.#forward(route);
    this.#filters = filters.start();
    const result = this.#filters.decode(this.#head, this.info);
    if (result === undefined) return this.#forward(route);
    if (!(result instanceof Promise)) return this.#reply(result);
    result.then(
      (reply) => {
        if (this.#completed) return;
        if (reply) this.#reply(reply);
        else this.#forward(route);
      },
      (error: unknown) => {
        // A filter that breaks must not let the request through: it may have been the one to refuse it.
        if (!this.#completed) this.#reply({ status: 500, body: 'filter failure', details: 'filter_failure', error: error as Error });
      },
    );
  }

  requestEnd(bytes: number): void {
    if (this.#requestDone) return;
    this.#requestDone = true;
    this.info.bytesSent = bytes;
    if (this.#timeouts && !this.#completed) this.#startTimeouts(this.#timeouts);
  }

  cancel(reason?: Error): void {
    if (this.#completed) return;
    if (this.info.status === 0) this.info.responseCodeDetails = 'downstream_remote_disconnect';
    this.info.flags.push('DC');
    this.#abandon(reason ?? new Error('the caller went away'), undefined);
    this.#complete();
  }

  #forward(route: SelectedRoute): void {
    // 4. Redirects and direct responses after the filters, which may delay or refuse them like anything else; on the unchanged path.
    const { action } = route;
    if (action.kind !== 'route') {
      if (action.kind === 'non-forwarding') return this.#reply(routeNotFound);
      return this.#reply(redirectReply(this.#head, route), true);
    }
    this.#action = action;
    // 5. The cluster: a missing one fails only the requests that were routed to it.
    if (!this.#cluster) return this.#reply(clusterNotFound(action.clusterNotFoundStatus, this.info.clusterName, this.#snapshot.missing?.get(this.info.clusterName)));
    // 6. Retries and timeouts before the head is edited: they take the caller's control headers out of it.
    const head = this.#head;
    this.#retry = RetryState.of(route.retryPolicy, head);
    const remainingMs = this.#callerDeadline === Infinity ? Infinity : Math.max(0, this.#callerDeadline - performance.now());
    const policy = route.retryPolicy;
    const timeouts = timeoutsOf(action, policy?.perTryTimeoutMs ?? 0, policy?.perTryIdleTimeoutMs ?? 0, head, { remainingMs, listenerStreamMs: this.#snapshot.maxStreamDurationMs, listenerIdleMs: this.#snapshot.streamIdleTimeoutMs ?? 0 });
    this.#timeouts = timeouts;
    if (timeouts.streamMs <= 0) return this.#reply(responseTimeout);
    if (timeouts.streamMs !== Infinity) {
      this.#deadline = performance.now() + timeouts.streamMs;
      this.#durationTimer = this.#services.clock.setTimeout(() => this.#cut(timeouts.deadlineOfCaller ? responseTimeout : durationTimeout, 'per-try-timeout'), timeouts.streamMs);
    }
    // 7. The hash reads the caller's cookies and path; edits and rewrites come after it, formatters before rewrites: they may read the path as it came.
    if (route.requestHash) {
      const { hash, setCookies } = route.requestHash(head, this.info);
      this.#hash = hash;
      this.#setCookies = setCookies;
    }
    applyRequestMutations(head, route, this.info);
    rewrite(head, route);
    if (this.#requestDone) this.#startTimeouts(timeouts);
    this.#tryHost(undefined);
  }

  /** 8. Each attempt passes drops, circuit breaker and picker anew: hosts may have come, gone or been ejected since the last one. */
  #tryHost(last: UpstreamFailure | undefined): void {
    const cluster = this.#cluster!;
    const route = this.#route!;
    const action = this.#action!;
    const { info } = this;
    const chosen = cluster.choose({
      attempt: info.attempts,
      attempted: this.#retry?.avoidPreviousHosts === true ? (this.#attempted ?? noHosts) : noHosts,
      ...(this.#retry && { hostSelectionAttempts: this.#retry.hostSelectionAttempts }),
      ...(this.#hash !== undefined && { hash: this.#hash }),
      priority: action.priority,
      ...(route.metadataMatch && { metadataMatch: route.metadataMatch }),
    });
    if (!(chosen instanceof Host)) return this.#reply(chosen);
    // Who could not prove its identity a moment ago is not asked again by the same request.
    if (last?.kind === 'identity' && this.#attempted?.includes(chosen)) return this.#reply(upstreamFailed(last, info.attempts));
    (this.#attempted ??= []).push(chosen);
    describeAttempt(info, chosen, cluster);
    let head = this.#head;
    if (action.hostRewrite?.kind === 'auto') {
      // Of its own, since the next attempt's host has another name.
      head = { ...head, headers: head.headers.clone() };
      rewriteForHost(head, action, chosen);
    }
    if (route.includeAttemptCount) head.headers.set('x-envoy-attempt-count', String(info.attempts));
    const timeouts = this.#timeouts!;
    const attempt = new UpstreamRequest(this, chosen, cluster, head, action.priority, { number: info.attempts, deadline: this.#deadline, idleTimeoutMs: timeouts.idleMs });
    this.#attempt = attempt;
    if (this.#requestDone && timeouts.perTryMs > 0) attempt.startTimeout(this.#services.clock, timeouts.perTryMs);
    // Under the request's own trace context, with instrumentation of undici and grpc-js told to keep quiet: one span a request, not two.
    if (this.#trace) this.#trace.run(() => this.#downstream.connect(attempt));
    else this.#downstream.connect(attempt);
    // Mirrors last, so that the request itself does not wait for them; once, and only where it has a host (Envoy).
    if (attempt.number === 1 && action.mirrors.length > 0) this.#mirror(action, timeouts);
  }

  #mirror({ mirrors }: ForwardActionConfig, { routeMs, idleMs }: Timeouts): void {
    const trace = this.#trace;
    const { clock } = this.#services;
    shadow(mirrors, this.#head, this.#downstream, (send) => (trace ? trace.run(send) : send()), {
      clusters: this.#snapshot.clusters, clock, random: () => this.#services.random(), hash: this.#hash, deadline: this.#deadline, timeoutMs: routeMs, idleTimeoutMs: idleMs,
    });
  }

  // 9. The response's head: first whether another attempt follows, since nothing that was passed on can be taken back.
  onAttemptHead(attempt: UpstreamRequest, head: ResponseHead): 'forward' | 'discard' {
    if (attempt !== this.#attempt || this.#completed) return 'discard';
    if (this.#retry?.retriesHead(head) && this.#mayRetry()) {
      attempt.finish(undefined);
      this.#retryLater(undefined);
      return 'discard';
    }
    this.#retry?.release();
    const { info } = this;
    info.status = head.status;
    if (head.grpcStatus !== undefined) info.grpcStatus = head.grpcStatus;
    if (info.responseCodeDetails === '') info.responseCodeDetails = 'via_upstream';
    // 10. Peer metadata is the mesh's own and taken out first: neither the route's formatters nor the application may see it.
    this.#services.telemetry.responseHead?.(info, this.#trace, head);
    //     The route's edits are the router's own, and the router is the first filter on the way back; the others see their result.
    this.#editResponse(head);
    this.#filters?.encode(head, info);
    this.#responseHead = head;
    return 'forward';
  }

  onAttemptFailure(attempt: UpstreamRequest, failure: UpstreamFailure): void {
    if (attempt !== this.#attempt || this.#completed) return;
    if (this.#retry?.retriesFailure(failure) && this.#mayRetry()) this.#retryLater(failure);
    else this.#reply(upstreamFailed(failure, this.info.attempts));
  }

  onAttemptBroken(attempt: UpstreamRequest, failure: UpstreamFailure): void {
    if (attempt !== this.#attempt || this.#completed) return;
    this.info.flags.push(failure.kind === 'per-try-timeout' ? 'SI' : failure.kind === 'protocol-error' ? 'UPE' : 'UC');
    this.info.responseCodeDetails = 'upstream_reset_after_response_started';
    this.#complete();
    this.#downstream.breakOff(new MeshError('WEFT_UPSTREAM_RESET', failure.message, { cause: failure.cause }));
  }

  // 11. The last byte is through: only now is the request over for counters, outlier detection and access log.
  onAttemptEnd(attempt: UpstreamRequest, end: StreamEnd): void {
    if (attempt !== this.#attempt || this.#completed) return;
    const { info } = this;
    info.bytesSent = end.bytesSent;
    info.bytesReceived = end.bytesReceived;
    if (end.grpcStatus !== undefined) info.grpcStatus = end.grpcStatus;
    this.#complete();
  }

  /** Whether a retriable outcome is retried: a body that can be sent again, the policy's count, and a place among the cluster's retries. */
  #mayRetry(): boolean {
    if (!this.#downstream.replayable) return false;
    const refused = this.#retry!.take(this.#cluster!, this.#action!.priority);
    if (refused) this.info.flags.push(refused);
    return refused === undefined;
  }

  #retryLater(last: UpstreamFailure | undefined): void {
    const retry = this.#retry!;
    this.#attempt = undefined;
    const delay = retryDelay(retry.made, retry.backoff, () => this.#services.random());
    this.#backoffTimer = this.#services.clock.setTimeout(() => {
      this.#backoffTimer = undefined;
      if (!this.#completed) this.#tryHost(last);
    }, delay);
  }

  /** Envoy counts the route's timeout from the end of the request: a slow upload is not the upstream's fault. */
  #startTimeouts({ routeMs, perTryMs }: Timeouts): void {
    if (routeMs > 0) this.#routeTimer = this.#services.clock.setTimeout(() => this.#cut(responseTimeout, 'per-try-timeout'), routeMs);
    if (perTryMs > 0) this.#attempt?.startTimeout(this.#services.clock, perTryMs);
  }

  /** Ends the request from outside of its attempts: with this answer, or, once a head was passed on, by breaking the response off. */
  #cut(reply: LocalReply, failure: UpstreamFailure['kind'] | undefined): void {
    if (this.#completed) return;
    const started = this.#responseHead !== undefined;
    const error = reply.error ?? new MeshError('WEFT_UPSTREAM_TIMEOUT', reply.details);
    this.#abandon(error, failure);
    if (!started) return this.#reply(reply);
    if (reply.flag) this.info.flags.push(reply.flag);
    this.info.responseCodeDetails = reply.details;
    if (this.info.protocol === 'grpc') this.info.grpcStatus = grpcStatusOf(reply);
    this.#complete();
    this.#downstream.breakOff(error);
  }

  /** Ends the present attempt with the host. The accounting first: what the adapter then says about its own abort must not count. */
  #abandon(reason: Error, failure: UpstreamFailure['kind'] | undefined): void {
    const attempt = this.#attempt;
    if (!attempt) return;
    this.#attempt = undefined;
    attempt.finish(failure);
    attempt.abort?.(reason);
  }

  #editResponse(head: ResponseHead): void {
    const route = this.#route;
    if (route && route.responseMutations.length > 0) applyResponseMutations(head, route, this.info, this.#head);
    if (this.#setCookies) for (const cookie of this.#setCookies) head.headers.add('set-cookie', cookie);
  }

  /** Ends the request with an answer of our own. It passes the filters on the way back like any other response. */
  #reply(reply: LocalReply, edited = false): void {
    const { info } = this;
    const headers = new HeaderMap();
    for (const [name, value] of reply.headers ?? []) headers.add(name, value);
    const head: ResponseHead = { status: reply.status, headers };
    info.status = reply.status;
    if (info.protocol === 'grpc') info.grpcStatus = head.grpcStatus = grpcStatusOf(reply);
    if (reply.flag) info.flags.push(reply.flag);
    info.responseCodeDetails = reply.details;
    info.localReply = reply;
    if (edited) this.#editResponse(head);
    this.#filters?.encode(head, info);
    this.#responseHead = head;
    const answer: LocalReply = { ...reply, status: head.status, headers: [...headers] };
    // Before the caller hears of it: it may look at counters or start the next request at once.
    this.#complete();
    this.#downstream.reply(answer);
  }

  /** Exactly once, whatever happened. */
  #complete(): void {
    this.#completed = true;
    this.#attempt = undefined;
    this.#routeTimer?.cancel();
    this.#durationTimer?.cancel();
    this.#backoffTimer?.cancel();
    if (this.#onContextAbort) this.#context!.signal!.removeEventListener('abort', this.#onContextAbort);
    this.#retry?.release();
    this.#filters?.complete(this.info);
    this.#services.telemetry.end(this.info, this.#trace, this.#head, this.#responseHead);
  }
}
