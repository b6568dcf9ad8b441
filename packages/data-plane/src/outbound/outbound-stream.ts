// The order of an outbound request. Every step stands where it does for a reason, given at it.
import type { Clock, Timer } from '@weft/spiffe';
import { currentContext, type RequestContext } from '../context/request-context.js';
import { MeshError } from '../errors.js';
import type { BodyPipe } from '../filter/body-pipe.js';
import type { FilterHost, FilterRoute, StreamFilters } from '../filter/filter-chain.js';
import { describeReply, replyThrough } from '../filter/filtered-reply.js';
import type { RouterConfig } from '../filter/http/router.js';
import { plainRouteInfo } from '../filter/route-filter-info.js';
import { normalizePath } from '../inbound/path-normalization.js';
import { strippedAuthority } from '../route/authority.js';
import { applyRequestMutations, applyResponseMutations, redirectReply, rewrite, type SelectedRoute } from '../route/route-table.js';
import { upgradeAllowed, upgradeRefused } from '../route/upgrade.js';
import type { OutboundListenerSnapshot } from '../snapshot/outbound-listener.js';
import { isGrpc } from '../route/request-header.js';
import { HeaderMap } from '../stream/header-map.js';
import { asGrpcReply, grpcStatusOf, type LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, StreamEnd, UpstreamFailure } from '../stream/response-head.js';
import { addFlag, type StreamInfo } from '../stream/stream-info.js';
import type { Telemetry, TelemetryStream } from '../telemetry/telemetry.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import { Attempts, type AttemptsOwner } from './attempts.js';
import { hasControlHeaders } from './control-headers.js';
import type { Downstream } from './downstream.js';
import { alternative, callerGone, clusterNotFound, deadlineExceeded, durationTimeout, idleAfterHead, idleTimeout, responseTimeout, routeNotFound } from './local-replies.js';
import { followRedirect, RedirectedDownstream, type RedirectHistory } from './internal-redirect.js';
import type { OutboundStream, StreamOptions } from './outbound-engine.js';
import { outboundInfo } from './outbound-info.js';
import type { RequestRecorder } from './request-recorder.js';
import type { RetryBudgets } from './retry-budget.js';
import { RetryState } from './retry-state.js';
import { shadow } from './shadow.js';
import { strictHeaderCheck } from './strict-headers.js';
import { timeoutsOf, type Timeouts } from './timeouts.js';
import type { UpstreamRequest } from './upstream-request.js';

export interface StreamServices {
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  random(): number;
  /** Whether requests are retried that serve a retry. */
  readonly retriesOfRetries: boolean;
  readonly retryBudgets: RetryBudgets | undefined;
}

const defaultRouter: RouterConfig = { suppressEnvoyHeaders: false, respectExpectedTimeout: false, strictCheckHeaders: [] };

/** What filters are told of a request that no route takes. */
const unrouted: FilterRoute = { filterOverrides: () => undefined, filterInfo: plainRouteInfo };

export class OutboundRequest implements OutboundStream, AttemptsOwner, FilterHost {
  readonly info: StreamInfo;
  readonly #services: StreamServices;
  // The snapshot is pinned: an update in the middle must not mix an old route with a new cluster.
  readonly #snapshot: OutboundListenerSnapshot;
  readonly #head: RequestHead;
  readonly #downstream: Downstream;
  readonly #callerDeadline: number;
  readonly #trace: TelemetryStream | undefined;
  #route: SelectedRoute | undefined;
  #cluster: UpstreamCluster | undefined;
  #filters: StreamFilters | undefined;
  #attempts: Attempts | undefined;
  #timeouts: Timeouts | undefined;
  #setCookies: readonly string[] | undefined;
  #responseHead: ResponseHead | undefined;
  /** Where filters see the response's body: it is over only when it came through them. */
  #responseBody: BodyPipe | undefined;
  /** Whether its cluster was looked for among those that requests name. */
  #looked = false;
  #requestDone = false;
  #completed = false;
  #durationTimer: Timer | undefined;
  #routeTimer: Timer | undefined;
  /** Of `weft explain`; live requests have none. */
  readonly #recorder: RequestRecorder | undefined;
  #idleTimer: Timer | undefined;
  /** Of the inbound request that this one is made for. */
  readonly #context: RequestContext | undefined;
  readonly #onContextAbort: (() => void) | undefined;
  readonly #history: RedirectHistory | undefined;
  /** The request that follows an internal redirect of this one; the promise of one until it runs. */
  #next: OutboundRequest | 'coming' | undefined;

  constructor(services: StreamServices, snapshot: OutboundListenerSnapshot, head: RequestHead, downstream: Downstream, options: StreamOptions | undefined, history?: RedirectHistory) {
    this.#services = services;
    this.#snapshot = snapshot;
    this.#head = head;
    this.#downstream = downstream;
    this.#recorder = options?.recorder;
    this.#history = history;
    const context = history ? history.context : currentContext();
    this.#context = context;
    this.#callerDeadline = Math.min(options?.deadline ?? Infinity, context?.deadline ?? Infinity);
    if (context?.signal) {
      this.#onContextAbort = () => this.#cut(callerGone(context.signal!.reason), undefined);
      context.signal.addEventListener('abort', this.#onContextAbort, { once: true });
    }
    this.info = outboundInfo(head);
    if (history?.randomValue !== undefined) this.info.randomValue = history.randomValue;
    // 1. Telemetry first: whatever happens next is part of the request's duration, and routes may match on the trace headers.
    this.#trace = services.telemetry.start(this.info, head);
  }

  run(): void {
    if (this.#context?.signal?.aborted) return this.#reply(callerGone(this.#context.signal.reason));
    const recorder = this.#recorder;
    // 2. Where the listener wants it, the one spelling of path and authority and its edits of headers, and from there on no other. Then the route, on the head as the
    //    application wrote it. The weighted cluster is chosen here, once: retries stay on it.
    const refused = this.#spell();
    if (refused) {
      recorder?.why(`path: ${refused.details}`);
      return this.#reply(refused);
    }
    const route = this.#snapshot.routes.select(this.#head, this.info, recorder);
    if (route) {
      this.#route = route;
      recorder?.routed(route);
      this.info.routeName = route.entry.name;
      // Known to filters and metrics: a fault may be meant for one upstream cluster only, and counts for its service.
      this.info.clusterName = route.cluster ?? '';
      this.#cluster = this.#snapshot.clusters.get(this.info.clusterName);
      if (this.#cluster?.config.service) this.info.destination = this.#cluster.config.service;
      // Before filters, as in Envoy, which makes another filter chain for it. Most requests do not ask.
      if (this.#head.upgrade !== undefined && !upgradeAllowed(this.#head.upgrade, this.#snapshot.upgrades, route.action)) return this.#reply(upgradeRefused);
    }
    // 3. Filters before anything is changed for the upstream, as in Envoy: a fault's header conditions see the caller's own headers.
    //    Once a request, not once an attempt: a retry must not be aborted or delayed by the same fault again, and sends the body as filters
    //    left it. Bodies come into the engine only where a filter of the route wants them. Without a route they run too: it is the
    //    router, after them, that finds nowhere to go.
    const filters = this.#snapshot.filters.forRoute(route ?? unrouted);
    if (!filters) return this.#forward(route);
    this.#filters = filters.start(this, recorder?.verdict);
    const result = this.#filters.decode(this.#head, this.info);
    if (this.#answered) return;
    if (result === undefined) return this.#forward(route);
    if (!(result instanceof Promise)) return this.#reply(result, 'filter');
    result.then(
      (reply) => {
        if (this.#answered) return;
        if (reply) this.#reply(reply, 'filter');
        else this.#forward(route);
      },
      (error: unknown) => {
        // A filter that breaks must not let the request through: it may have been the one to refuse it.
        if (!this.#answered) this.#reply({ status: 500, body: 'filter failure', details: 'filter_failure', error: error as Error });
      },
    );
  }

  #spell(): LocalReply | undefined {
    const { paths, authority, name, earlyMutations } = this.#snapshot;
    if (authority) this.#head.authority = strippedAuthority(this.#head.authority, authority, Number(/:(\d+)$/.exec(name)?.[1]));
    const path = paths ? normalizePath(this.#head.path, paths) : this.#head.path;
    if (typeof path !== 'string') return path;
    if (path !== this.#head.path) this.#head.path = path;
    if (earlyMutations) for (const mutation of earlyMutations) mutation.applyToRequest(this.#head, this.info, this.#recorder?.requestEdits);
    return undefined;
  }

  /** Over, or with an answer that is still on its way through filters: what was refused must not be sent for all that. */
  get #answered(): boolean {
    return this.#completed || this.#responseHead !== undefined;
  }

  // What filters ask of their request.

  get requestHasBody(): boolean {
    return this.#downstream.hasBody;
  }

  describeBody(head: RequestHead): void {
    this.#downstream.describeBody?.(head);
  }

  readBody(pipe: BodyPipe): void {
    this.#downstream.readBody(pipe);
  }

  endWith(reply: LocalReply): void {
    this.#cut(reply, undefined);
  }

  responseFailed(error: Error): void {
    this.#cut({ status: 500, body: '', details: 'filter_failed', error }, undefined);
  }

  responseEnd(): void {
    if (!this.#completed) this.#complete();
  }

  requestEnd(bytes: number): void {
    if (this.#requestDone) return;
    this.#requestDone = true;
    this.info.bytesSent = bytes;
    if (!this.#attempts || this.#completed) return;
    this.#startRouteTimeout(this.#timeouts!);
    this.#attempts.requestEnd();
  }

  cancel(reason?: Error): void {
    if (this.#next) {
      if (this.#next !== 'coming') this.#next.cancel(reason);
      this.#next = undefined;
      return;
    }
    if (this.#completed) return;
    if (this.info.status === 0) this.info.responseCodeDetails = 'downstream_remote_disconnect';
    this.info.flags.push('DC');
    this.#attempts?.abandon(reason ?? new Error('the caller went away'), undefined);
    this.#complete();
  }

  #forward(route: SelectedRoute | undefined): void {
    if (!route) return this.#reply(routeNotFound);
    // 4. Redirects and direct responses after the filters, which may delay or refuse them like anything else; on the unchanged path.
    const { action } = route;
    if (action.kind !== 'route') {
      if (action.kind === 'non-forwarding') return this.#reply(routeNotFound);
      return this.#reply(redirectReply(this.#head, route, this.info), 'route');
    }
    // 5. The cluster: a missing one fails only the requests that were routed to it. One that a header names may have to be asked for first.
    if (!this.#cluster && !this.#looked) {
      this.#looked = true;
      const found = this.#dynamicCluster();
      if (found instanceof Promise) {
        void found.then((cluster) => {
          this.#cluster = cluster;
          if (!this.#answered) this.#forward(route);
        });
        return;
      }
      this.#cluster = found;
    }
    if (!this.#cluster) return this.#reply(clusterNotFound(action.clusterNotFoundStatus, this.info.clusterName, this.#snapshot.missing?.get(this.info.clusterName) ?? this.#snapshot.dynamic?.error(this.info.clusterName)));
    // 6. Timeouts before the head is edited: they take the caller's control headers out of it, as retries do after it.
    const head = this.#head;
    const steered = hasControlHeaders(head.headers);
    const policy = route.retryPolicy;
    const { suppressEnvoyHeaders, respectExpectedTimeout, strictCheckHeaders } = this.#snapshot.router ?? defaultRouter;
    const invalid = steered && strictCheckHeaders.length > 0 ? strictHeaderCheck(head.headers, strictCheckHeaders) : undefined;
    if (invalid) return this.#reply(invalid);
    const remainingMs = this.#callerDeadline === Infinity ? Infinity : Math.max(0, this.#callerDeadline - performance.now());
    const timeouts = timeoutsOf(action, head, {
      perTryMs: policy?.perTryTimeoutMs, perTryIdleMs: policy?.perTryIdleTimeoutMs, hedge: route.hedgeOnPerTryTimeout, steered, remainingMs,
      listenerStreamMs: this.#snapshot.maxStreamDurationMs, listenerIdleMs: this.#snapshot.streamIdleTimeoutMs ?? 0, respectExpected: respectExpectedTimeout,
    });
    this.#timeouts = timeouts;
    if (timeouts.streamMs <= 0) return this.#reply(timeouts.deadlineOfCaller ? deadlineExceeded : durationTimeout(this.#requestDone));
    let deadline = Infinity;
    if (timeouts.streamMs !== Infinity) {
      deadline = performance.now() + timeouts.streamMs;
      this.#durationTimer = this.#services.clock.setTimeout(() => this.#cut(timeouts.deadlineOfCaller ? deadlineExceeded : durationTimeout(this.#requestDone), 'per-try-timeout'), timeouts.streamMs);
    }
    if (timeouts.idleMs > 0) this.#watchIdle(timeouts.idleMs, 0);
    // 7. Edits before rewrites: their formatters may read the path as it came. The hash last: as in Envoy it is that of the request as it is sent.
    applyRequestMutations(head, route, this.info, this.#recorder?.requestEdits);
    rewrite(head, route, this.info);
    // The policy looks at the headers as they are sent (retriable_request_headers).
    const allowed = RetryState.of(policy, head, steered);
    // A retry of the hop before is attempt enough: hops that all retry multiply what reaches the last.
    const retry = this.#services.retriesOfRetries || this.#context?.retry !== true ? allowed : undefined;
    let hash: bigint | undefined;
    // As Envoy, only where it decides something: a cookie that nothing reads is not set.
    const usesHash = this.#cluster.usesHash !== false;
    if (route.requestHash && (usesHash || this.#recorder)) {
      const result = route.requestHash(head, this.info);
      hash = result.hash;
      if (usesHash) this.#setCookies = result.setCookies;
    }
    this.#recorder?.forwarding({ timeouts, retry, hash });
    // 8. The attempts: one after the other, until one of them answers (attempts.ts).
    if (route.bufferLimitBytes !== undefined) this.#downstream.limitReplay(route.bufferLimitBytes);
    const announce = !suppressEnvoyHeaders && (timeouts.routeMs > 0 || timeouts.perTryMs > 0 || (timeouts.deadlineOfCaller && remainingMs !== Infinity && head.protocol === 'http'));
    const attempts = new Attempts(this, this.#services, { info: this.info, head, cluster: this.#cluster, route, action, timeouts, announce, deadline, retry, budget: this.#services.retryBudgets?.of(this.#cluster), hash });
    this.#attempts = attempts;
    if (this.#requestDone) {
      this.#startRouteTimeout(timeouts);
      attempts.requestEnd();
    }
    // Mirrors last, so that the request itself does not wait for them; once, and only where it has a host (Envoy).
    if (attempts.start() && route.mirrors.length > 0) this.#mirror(route.mirrors, hash, deadline, timeouts);
  }

  #dynamicCluster(): UpstreamCluster | undefined | Promise<UpstreamCluster | undefined> {
    const { clusterName } = this.info;
    const { routes, dynamic } = this.#snapshot;
    return clusterName === '' || routes.clusterNames.has(clusterName) ? undefined : dynamic?.get(clusterName);
  }

  #mirror(mirrors: SelectedRoute['mirrors'], hash: bigint | undefined, deadline: number, { routeMs, perTryIdleMs }: Timeouts): void {
    const trace = this.#trace;
    const services = this.#services;
    shadow(mirrors, this.#head, this.#downstream, (send) => (trace ? trace.run(send) : send()), {
      snapshot: this.#snapshot, clock: services.clock, random: () => services.random(), info: this.info, hash, deadline, timeoutMs: routeMs, idleTimeoutMs: perTryIdleMs,
    });
  }

  // What the attempts ask for and tell.

  get replayable(): boolean {
    return this.#downstream.replayable;
  }

  connect(attempt: UpstreamRequest): void {
    // Under the request's own trace context, with instrumentation of undici and grpc-js told to keep quiet: one span a request, not two.
    if (this.#trace) this.#trace.run(() => this.#downstream.connect(attempt));
    else this.#downstream.connect(attempt);
  }

  onResponseHead(head: ResponseHead): void {
    const { info } = this;
    info.status = head.status;
    if (head.grpcStatus !== undefined) info.grpcStatus = head.grpcStatus;
    if (info.responseCodeDetails === '') info.responseCodeDetails = 'via_upstream';
    // The connection is the caller's from here on, for as long as it likes (Envoy).
    if (head.status === 101) this.#routeTimer?.cancel();
    // 9. Peer metadata is the mesh's own and taken out first: neither the route's formatters nor the application may see it.
    this.#services.telemetry.responseHead?.(info, this.#trace, head);
    //    The route's edits are the router's own, and the router is the first filter on the way back; the others see their result.
    this.#editResponse(head);
    if (this.#route?.includeAttemptCountInResponse) head.headers.set('x-envoy-attempt-count', String(info.attempts));
    this.#responseBody = this.#filters?.encode(head, info);
    if (this.#responseBody) this.#downstream.filterResponse(this.#responseBody);
    this.#responseHead = head;
    this.#idleTimer?.cancel();
  }

  /** An internal redirect is another request, with filters and telemetry of its own, as in Envoy; the caller hears only of that one. */
  followed(head: ResponseHead): boolean {
    const route = this.#route!;
    // A body that is still coming, or too long to be sent again, leaves the redirect to the caller.
    if (!this.#requestDone || !this.#downstream.replayable) return false;
    const history = this.#history ?? { count: 0, followed: new Map<string, readonly string[]>(), context: this.#context };
    const next = followRedirect(route.internalRedirect!, head, this.#head, route, history, (target) => {
      const info = outboundInfo(target);
      return { route: this.#snapshot.routes.select(target, info), ...(info.randomValue !== undefined && { randomValue: info.randomValue }) };
    });
    if (!next) return false;
    const { info } = this;
    info.status = head.status;
    info.responseCodeDetails = 'internal_redirect';
    this.#services.telemetry.responseHead?.(info, this.#trace, head);
    this.#responseHead = head;
    this.#next = 'coming';
    this.#complete();
    // Not from within the adapter's own report, which has the redirect's body to read away first.
    queueMicrotask(() => {
      if (this.#next !== 'coming') return;
      const request = new OutboundRequest(this.#services, this.#snapshot, next.head, new RedirectedDownstream(this.#downstream, next.dropsBody), { deadline: this.#callerDeadline, ...(this.#recorder && { recorder: this.#recorder }) }, next.history);
      this.#next = request;
      request.run();
      request.requestEnd(next.dropsBody ? 0 : info.bytesSent);
    });
    return true;
  }

  onIdle(): void {
    this.#cut(idleTimeout(this.#requestDone), 'per-try-timeout');
  }

  onResponseBroken(failure: UpstreamFailure): void {
    if (failure.idle === true) return this.#breakOff(idleAfterHead(this.#timeouts!));
    addFlag(this.info, failure.kind === 'per-try-timeout' ? 'UT' : failure.kind === 'protocol-error' ? 'UPE' : 'UC');
    this.info.responseCodeDetails = 'upstream_reset_after_response_started';
    this.#complete();
    this.#downstream.breakOff(new MeshError('WEFT_UPSTREAM_RESET', failure.message, { cause: failure.cause }));
  }

  // 10. The last byte is through: only now is the request over for counters, outlier detection and access log.
  onResponseEnd(end: StreamEnd): void {
    const { info } = this;
    info.bytesSent = end.bytesSent;
    info.bytesReceived = end.bytesReceived;
    if (end.grpcStatus !== undefined) info.grpcStatus = end.grpcStatus;
    if (!this.#responseBody) return this.#complete();
    // What filters still hold back is not the upstream's fault.
    this.#routeTimer?.cancel();
  }

  onNoResponse(reply: LocalReply): void {
    this.#reply(this.#ofRouter(reply));
  }

  /** What Envoy's router does to answers of its own. */
  #ofRouter(reply: LocalReply): LocalReply {
    const counted = this.#route?.includeAttemptCountInResponse === true;
    const suppressed = this.#snapshot.router?.suppressEnvoyHeaders === true;
    if (!counted && !suppressed) return reply;
    const headers = (reply.headers ?? []).filter(([name]) => !suppressed || !name.startsWith('x-envoy-'));
    if (counted) headers.push(['x-envoy-attempt-count', String(this.info.attempts || 1)]);
    return { ...reply, headers };
  }

  /** Envoy counts the route's timeout from the end of the request: a slow upload is not the upstream's fault. */
  #startRouteTimeout({ routeMs, idleMs, alternativeStatus }: Timeouts): void {
    if (routeMs > 0) this.#routeTimer = this.#services.clock.setTimeout(() => this.#cut(this.#ofRouter(alternativeStatus ? alternative(responseTimeout) : responseTimeout), 'per-try-timeout'), routeMs);
    if (idleMs > 0 && !this.#responseHead) this.#watchIdle(idleMs, this.#downstream.bytesSent);
  }

  /** Until the response's head: retries and their back-offs are no activity. Chunks pass the engine by, so it looks whether there were any. */
  #watchIdle(ms: number, sent: number): void {
    this.#idleTimer?.cancel();
    this.#idleTimer = this.#services.clock.setTimeout(() => {
      const { bytesSent } = this.#downstream;
      if (bytesSent !== sent) this.#watchIdle(ms, bytesSent);
      else this.onIdle();
    }, ms);
  }

  /** Ends the request from outside of its attempts: with this answer, or, once a head was passed on, by breaking the response off. */
  #cut(reply: LocalReply, failure: UpstreamFailure['kind'] | undefined): void {
    if (this.#completed) return;
    const started = this.#responseHead !== undefined;
    this.#attempts?.abandon(errorOf(reply), failure);
    if (started) this.#breakOff(reply);
    else this.#reply(reply);
  }

  /** The caller has the head already. */
  #breakOff(reply: LocalReply): void {
    if (reply.flag) addFlag(this.info, reply.flag);
    this.info.responseCodeDetails = reply.details;
    if (this.info.protocol === 'grpc') this.info.grpcStatus = grpcStatusOf(reply);
    this.#complete();
    this.#downstream.breakOff(errorOf(reply));
  }

  #editResponse(head: ResponseHead): void {
    const route = this.#route;
    if (route && route.responseMutations.length > 0) applyResponseMutations(head, route, this.info, this.#head, this.#recorder?.responseEdits);
    if (this.#setCookies) for (const cookie of this.#setCookies) head.headers.add('set-cookie', cookie);
  }

  /** Ends the request with an answer of our own. It passes the filters on the way back like any other response. */
  #reply(given: LocalReply, from: 'engine' | 'filter' | 'route' = 'engine'): void {
    const { info } = this;
    const reply = info.protocol === 'http' && isGrpc(this.#head) ? asGrpcReply(given, from === 'filter', this.#head.method === 'HEAD') : given;
    const headers = new HeaderMap();
    for (const [name, value] of reply.headers ?? []) headers.add(name, value);
    // Without its status until the route has edited it, whoever answers: its formatters then read 0 (Envoy).
    const head: ResponseHead = { status: 0, headers };
    if (info.protocol === 'grpc') info.grpcStatus = head.grpcStatus = grpcStatusOf(reply);
    else if (this.#filters) describeReply(reply, headers);
    if (reply.flag) info.flags.push(reply.flag);
    info.responseCodeDetails = reply.details;
    info.localReply = reply;
    const route = this.#route;
    if (route && route.responseMutations.length > 0 && reply.unedited === undefined && (from === 'route' || route.action.kind === 'route')) applyResponseMutations(head, route, info, this.#head, this.#recorder?.responseEdits);
    info.status = head.status = reply.status;
    const filtered = this.#filters?.encode(head, info);
    this.#responseHead = head;
    const answer: LocalReply = { ...reply, status: head.status, headers: [...headers] };
    if (filtered) return replyThrough(filtered, answer, (filteredReply) => this.#downstream.reply(filteredReply));
    // Before the caller hears of it: it may look at counters or start the next request at once.
    this.#complete();
    this.#downstream.reply(answer);
  }

  /** Exactly once, whatever happened. */
  #complete(): void {
    this.#completed = true;
    this.#attempts?.stop();
    this.#routeTimer?.cancel();
    this.#durationTimer?.cancel();
    this.#idleTimer?.cancel();
    if (this.#onContextAbort) this.#context!.signal!.removeEventListener('abort', this.#onContextAbort);
    this.#filters?.complete(this.info);
    this.#services.telemetry.end(this.info, this.#trace, this.#head, this.#responseHead);
  }
}

function errorOf(reply: LocalReply): Error {
  return reply.error ?? new MeshError('WEFT_UPSTREAM_TIMEOUT', reply.details);
}
