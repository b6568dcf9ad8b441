// One request at a server, in the order in which its steps stand below.
import { runInContext, type RequestContext } from '../context/request-context.js';
import type { BodyPipe } from '../filter/body-pipe.js';
import type { FilterContext, FilterResult } from '../filter/http-filter.js';
import type { FilterHost, RouteFilters, StreamFilters } from '../filter/filter-chain.js';
import { strippedAuthority } from '../route/authority.js';
import { applyRequestMutations, applyResponseMutations, redirectReply, rewrite, type SelectedRoute } from '../route/route-table.js';
import { upgradeAllowed, upgradeRefused } from '../route/upgrade.js';
import { httpStatusOfGrpc } from '../stream/grpc-http-status.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, StreamEnd } from '../stream/response-head.js';
import type { DestinationService, PeerIdentity, RouterSpelling, StreamInfo, WorkloadInfo } from '../stream/stream-info.js';
import type { Telemetry, TelemetryStream } from '../telemetry/telemetry.js';
import { callerHints, type CallerHints } from './deadline.js';
import { InboundLimits, type LimitedStream } from './inbound-limits.js';
import type { ConnectionInfo, InboundBodies, InboundProgress, InboundStream } from './inbound-port.js';
import type { FilterChainRuntime } from './inbound-snapshot.js';
import type { LoadRecorder } from './load-recorder.js';
import { addressText } from './peer-identity.js';
import { normalizePath } from './path-normalization.js';
import { sanitizeHeaders } from './sanitize.js';

export interface InboundStreamOptions {
  chain: FilterChainRuntime;
  connection: ConnectionInfo;
  head: RequestHead;
  httpVersion: string;
  router: RouterSpelling | undefined;
  telemetry: Telemetry;
  context: FilterContext;
  /** Value of `x-forwarded-client-cert` for the application. */
  clientCertificate: string | undefined;
  bodies: InboundBodies<never> | undefined;
  message: unknown;
  load: LoadRecorder | undefined;
}

export class ServerStream implements InboundStream, FilterHost, LimitedStream {
  readonly info: StreamInfo;
  abort: ((reply: LocalReply) => void) | undefined;
  progress: InboundProgress | undefined;
  readonly #options: InboundStreamOptions;
  readonly #request: InboundContext;
  readonly #telemetry: TelemetryStream | undefined;
  readonly #limits: InboundLimits | undefined;
  #route: SelectedRoute | undefined;
  #filters: StreamFilters | undefined;
  /** Of a filter that ended the request before anybody could be told: what `decode` says. */
  #early: LocalReply | undefined;
  #ended = false;

  constructor(options: InboundStreamOptions) {
    const { chain, head, telemetry, context } = options;
    this.#options = options;
    this.info = new InboundInfo(options);
    // The caller's patience and whether it asks again, before the headers that say so are stripped. They can only lessen what we do, so any caller may say them.
    this.#request = new InboundContext(callerHints(head.headers));
    // First, so that refused requests are counted and traced too; it takes the peer metadata, which the next step would strip.
    this.#telemetry = telemetry.start(this.info, head);
    this.#request.trace(this.#telemetry?.trace);
    chain.requests.begin();
    this.#limits = InboundLimits.start(chain.config.http, this, context.setTimeout);
  }

  get limited(): boolean {
    return this.#limits !== undefined;
  }

  expire(reply: LocalReply): void {
    this.abort?.(this.refuse(reply));
  }

  decode(): FilterResult {
    const { chain, head, clientCertificate } = this.#options;
    // Before anything looks at headers: what only a mesh may say is gone, what has two meanings is refused.
    const invalid = sanitizeHeaders(head.headers, { clientCertificate });
    if (invalid) return this.refuse(invalid);
    // Before routes and policies: from here on the path has one spelling, and the application routes on that one.
    const path = this.#path();
    if (typeof path !== 'string') return this.refuse(path);
    head.path = path;
    const { authority, earlyMutations } = chain.config.http;
    if (authority) {
      head.authority = strippedAuthority(head.authority, authority, this.#options.connection.localPort);
      // What the application reads.
      if (head.headers.has('host')) head.headers.set('host', head.authority);
    }
    if (earlyMutations) for (const mutation of earlyMutations) mutation.applyToRequest(head, this.info);
    // Before filters: the route says which of them run, and how.
    const route = chain.routes?.select(head, this.info);
    if (!route) return this.refuse(chain.routes ? routeNotFound : noRoutes);
    this.#route = route;
    this.info.routeName = route.entry.name || route.virtualHost.name;
    if (head.upgrade !== undefined && !upgradeAllowed(head.upgrade, chain.config.http.upgrades, route.action)) return this.refuse(upgradeRefused);
    const filters: RouteFilters | undefined = chain.filters.forRoute(route);
    if (!filters) return this.#handle(route);
    this.#filters = filters.start(this);
    const result = this.#filters.decode(head, this.info);
    if (result instanceof Promise) return result.then((reply) => this.#decoded(reply, route));
    return this.#decoded(result, route);
  }

  #decoded(reply: LocalReply | undefined, route: SelectedRoute): LocalReply | undefined {
    if (this.#early) return this.#early;
    return reply ? this.refuse(reply) : this.#handle(route);
  }

  // What filters ask of their request.

  get requestHasBody(): boolean {
    return this.#options.bodies?.hasBody(this.#options.message as never) === true;
  }

  readBody(pipe: BodyPipe): void {
    this.#options.bodies?.read(this.#options.message as never, pipe);
  }

  endWith(reply: LocalReply): void {
    if (this.#early || this.#ended) return;
    const refused = this.refuse(reply);
    if (this.abort) this.abort(refused);
    else this.#early = refused;
  }

  responseFailed(error: Error): void {
    this.abort?.(this.refuse({ status: 500, body: '', details: 'filter_failed', error }));
  }

  responseEnd(): void {}

  get filtersResponse(): boolean {
    return this.#filters?.seesResponseBody === true;
  }

  run<T>(handler: () => T): T {
    if (!this.#telemetry?.span) return runInContext(this.#request, handler);
    const { span } = this.#telemetry;
    return runInContext(this.#request, () => span.run(handler));
  }

  get loadReport(): string | undefined {
    const { load } = this.#options;
    if (!load || load.audience === 'none') return undefined;
    const { protocol, peer, peerWorkload } = this.info;
    if (protocol === 'grpc') return load.binary;
    return load.audience === 'all' || peer || peerWorkload ? load.text : undefined;
  }

  encode(head: ResponseHead): BodyPipe | undefined {
    this.#limits?.answered();
    const pipe = this.#filters?.encode(head, this.info);
    // After the filters, as in Envoy: the route has the last word on headers.
    if (this.#route && this.info.localReply?.unedited === undefined) applyResponseMutations(head, this.#route, this.info, this.#options.head);
    this.#options.telemetry.responseHead?.(this.info, this.#telemetry, head);
    this.info.status = head.status;
    return pipe;
  }

  end({ status, cancelled, grpcStatus, bytesReceived, bytesSent }: StreamEnd & { status: number; cancelled: boolean }): void {
    if (this.#ended) return;
    this.#ended = true;
    const { info } = this;
    this.#limits?.close();
    info.status = status;
    info.bytesReceived = bytesReceived;
    info.bytesSent = bytesSent;
    if (grpcStatus !== undefined) info.grpcStatus = grpcStatus;
    if (cancelled) {
      if (!info.localReply) {
        info.flags.push('DC');
        info.responseCodeDetails = 'downstream_remote_disconnect';
      }
      // What the handler asked others for nobody waits for any longer.
      this.#request.abort();
    }
    this.#options.load?.record((info.grpcStatus === undefined ? info.status : httpStatusOfGrpc(info.grpcStatus)) >= 500);
    info.responseCodeDetails ||= 'via_upstream';
    this.#filters?.complete(info);
    this.#options.telemetry.end(info, this.#telemetry, this.#options.head);
    this.#options.chain.requests.end();
  }

  #path(): string | LocalReply {
    const { chain, head } = this.#options;
    if (head.path === '*' && head.method === 'OPTIONS') return head.path;
    const path = normalizePath(head.path, chain.config.http);
    // gRPC names a method with exactly one string; any other spelling is another, unknown, method.
    if (head.protocol === 'grpc' && path !== head.path) return { status: 404, grpcStatus: 12, body: 'unknown method', details: 'grpc_path_not_normal' };
    return path;
  }

  #handle(route: SelectedRoute): LocalReply | undefined {
    const { head } = this.#options;
    switch (route.action.kind) {
      case 'redirect':
      case 'direct-response':
        return this.refuse(redirectReply(head, route, this.info));
      case 'route':
        // gRFC A36: a server has nowhere to route to.
        return this.refuse({ status: 503, body: 'a route of an inbound listener names a cluster', details: 'inbound_route_not_non_forwarding', flag: 'NC' });
      case 'non-forwarding':
        // After the filters, as in Envoy: they see what the peer sent.
        applyRequestMutations(head, route, this.info);
        rewrite(head, route, this.info);
        return undefined;
    }
  }

  refuse(reply: LocalReply): LocalReply {
    this.info.localReply = reply;
    this.info.responseCodeDetails = reply.details;
    if (reply.flag) this.info.flags.push(reply.flag);
    return reply;
  }
}

const routeNotFound: LocalReply = { status: 404, grpcStatus: 14, body: '', flag: 'NR', details: 'route_not_found' };
const noRoutes: LocalReply = { status: 503, body: 'no route configuration', flag: 'NC', details: 'route_configuration_missing' };

/** Makes an abort controller only for a handler that asks for its signal: most do not. */
class InboundContext implements RequestContext {
  readonly deadline?: number;
  readonly retry: boolean;
  traceparent?: string;
  tracestate?: string;
  #controller: AbortController | undefined;
  #aborted = false;

  constructor({ timeoutMs, retry }: CallerHints) {
    this.retry = retry;
    if (timeoutMs !== undefined) this.deadline = performance.now() + timeoutMs;
  }

  trace(context: Pick<RequestContext, 'traceparent' | 'tracestate'> | undefined): void {
    if (context?.traceparent !== undefined) this.traceparent = context.traceparent;
    if (context?.tracestate !== undefined) this.tracestate = context.tracestate;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort(new Error('the caller went away'));
    return this.#controller.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort(new Error('the caller went away'));
  }
}

/** A class, so that all of them have one shape: everything that reads them, in every request, is faster for it. */
class InboundInfo implements StreamInfo {
  readonly direction = 'inbound';
  readonly startTime = performance.now();
  readonly protocol: StreamInfo['protocol'];
  readonly method: string;
  readonly originalPath: string;
  readonly authority: string;
  httpVersion: string;
  routeName = '';
  clusterName = '';
  attempts = 0;
  flags: StreamInfo['flags'] = [];
  responseCodeDetails = '';
  status = 0;
  grpcStatus?: number;
  bytesSent = 0;
  bytesReceived = 0;
  upstreamAddress = '';
  destination?: DestinationService;
  peerWorkload?: WorkloadInfo;
  peer?: PeerIdentity;
  localUriSan?: () => string;
  downstreamRemoteAddress: string;
  downstreamDirectRemoteAddress?: string;
  downstreamLocalAddress: string;
  mutualTls: boolean;
  requestedServerName: string;
  localReply?: LocalReply;
  router?: RouterSpelling;
  metadata?: NonNullable<StreamInfo['metadata']>;
  readonly connection: object;

  constructor({ chain, connection, head, httpVersion, router }: InboundStreamOptions) {
    this.protocol = head.protocol;
    this.method = head.method;
    this.originalPath = head.path;
    this.authority = head.authority;
    this.httpVersion = httpVersion;
    this.connection = connection;
    this.downstreamRemoteAddress = connection.remote ?? addressText(connection.remoteAddress, connection.remotePort);
    this.downstreamLocalAddress = connection.local ?? addressText(connection.localAddress, connection.localPort);
    if (connection.directRemote !== undefined) this.downstreamDirectRemoteAddress = connection.directRemote;
    this.mutualTls = connection.mutualTls;
    this.requestedServerName = connection.requestedServerName;
    if (chain.destination) this.destination = chain.destination;
    if (connection.peer) this.peer = connection.peer;
    if (connection.localUriSan) this.localUriSan = connection.localUriSan;
    if (router) this.router = router;
  }
}
