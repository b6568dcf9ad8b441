// Runs requests through the outbound engine without sending them, over configuration that is at hand: what `weft explain` does, and
// tests that compare Weft with others for thousands of requests.
import type { Clock } from '@weft/spiffe';
import type { FilterContext, HttpFilterFactory } from '../filter/http-filter.js';
import type { BodyPipe } from '../filter/body-pipe.js';
import type { Downstream, UpstreamAttempt } from '../outbound/downstream.js';
import { MeshNames } from '../outbound/mesh-names.js';
import { OutboundRequest } from '../outbound/outbound-stream.js';
import type { ClusterConfig } from '../resource/cluster-config.js';
import { makeDecoders } from '../resource/decoders.js';
import { anyProvider } from '../resource/resource-check.js';
import { endpointPolicy } from '../resource/endpoint-policy.js';
import { isGrpc } from '../route/request-header.js';
import { loadXxh64 } from '../route/xxh64.js';
import { selectTcpProxy, type OutboundTcpSnapshot } from '../snapshot/outbound-tcp.js';
import { OutboundListenerEntry } from '../snapshot/outbound-listener-entry.js';
import { HeaderMap } from '../stream/header-map.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import { DnsCaches } from '../upstream/dns/dns-cache.js';
import { ClusterManager } from '../upstream/cluster-manager.js';
import { explainedClusters, noHost } from './explained-cluster.js';
import { describePlan, describeRoute, inOrder, Recording, type Explanation } from './explanation.js';
import { FixedResources, type ResourceSource } from './fixed-resources.js';

export interface ExplainRequest {
  /** `http://HOST:PORT/PATH?QUERY`; a `host` header takes the place of its host. */
  url: string;
  /** Default GET. */
  method?: string;
  headers?: readonly (readonly [string, string])[];
  /** A uint64 that every random choice is taken from, modulo the total weight or the fraction's denominator. Default 0. */
  random?: bigint | number;
  /** What the upstream would answer, for the edits of responses. Default 200 without headers. */
  response?: { status: number; headers?: readonly (readonly [string, string])[] };
}

export interface Explained {
  readonly explanation: Explanation;
  /** A resource that the request needs would be refused (NACK). */
  readonly error?: Error;
  /** The whole head as it would be sent to a host; absent where nothing would be sent. */
  readonly sent?: RequestHead;
  /** The head that the application would get: of `response`, or of the mesh's own answer. */
  readonly response?: { readonly status: number; readonly headers: readonly (readonly [string, string])[] };
}

export interface ExplainerOptions {
  /** The Listener of a dialled `HOST:PORT`, where it is not the one of that name. */
  listenerOf?: (hostPort: string) => string | undefined;
  /** The listeners are a proxy's, which has filters of servers too. Default false. */
  proxy?: boolean;
  /** Filters of applications. */
  filters?: readonly HttpFilterFactory[];
}

// Time stands still: nothing is ejected, checked, resolved again or retried while requests are explained.
const still: Clock = { now: () => 0, setTimeout: () => ({ cancel() {} }) };
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const noTelemetry = { start: () => undefined, end() {} };

/**
 * Explains requests over fixed resources, one after the other: `await explainer.explain({ url: 'http://payments/pay' })`. Some ten
 * thousand a second. Nothing is sent and nothing resolved.
 */
export class Explainer {
  readonly #options: ExplainerOptions;
  readonly #xds: FixedResources;
  readonly #clusters: ClusterManager;
  readonly #types: ReturnType<typeof makeDecoders>['types'];
  readonly #entries = new Map<string, OutboundListenerEntry>();
  readonly #names = new MeshNames();
  readonly #filterContext: FilterContext;
  #random: bigint | number = 0;
  #recording: Recording | undefined;
  #hashing: Promise<unknown> | undefined;

  constructor(source: ResourceSource, options: ExplainerOptions = {}) {
    this.#options = options;
    const { types, loadBalancers } = makeDecoders({ filters: options.filters ?? [], loadBalancers: [], certificateProviders: anyProvider, policy: endpointPolicy({ allowLoopback: true }), ...(options.proxy && { clientSide: 'any' as const }) });
    this.#types = types;
    this.#xds = new FixedResources(source, (name, resource) => (name === 'Cluster' ? undisturbed(resource as ClusterConfig) : resource));
    // A name stands for its addresses.
    const lookup = (hostname: string) => Promise.resolve({ addresses: [hostname] });
    const dnsCaches = new DnsCaches({ clock: still, random: this.#fraction, logger: silent, lookup, guard: () => undefined });
    this.#clusters = new ClusterManager({ xds: this.#xds, clusterType: types.cluster, endpointType: types.endpoints, clock: still, random: this.#fraction, logger: silent, loadBalancers, lookup, dnsCaches });
    this.#filterContext = {
      random: this.#fraction,
      randomBelow: (n) => Number(BigInt(this.#random) % BigInt(n)),
      now: () => 0,
      dnsCaches,
      // A delay is told, not waited for.
      setTimeout: (run, ms) => {
        let cancelled = false;
        if (this.#recording) this.#recording.delayMs = ms;
        queueMicrotask(() => {
          if (!cancelled) run();
        });
        return { cancel: () => void (cancelled = true) };
      },
    };
  }

  close(): void {
    for (const entry of this.#entries.values()) entry.close();
    this.#entries.clear();
    this.#clusters.close();
  }

  /** @throws {TypeError} where the URL is none. One at a time: wait for the answer. */
  async explain(request: ExplainRequest): Promise<Explained> {
    await (this.#hashing ??= loadXxh64());
    const head = headOf(request);
    const url = new URL(request.url);
    const explanation: Explanation = { action: 'none', why: [] };
    const hostPort = this.#names.listener(url.host, url.protocol === 'https:' ? 443 : 80) ?? url.host;
    const name = this.#options.listenerOf?.(hostPort) ?? hostPort;
    const entry = this.#entry(name);
    if (entry.state === 'pending') await Promise.race([entry.wait(), turns(3)]);
    const { snapshot, tcp } = entry;
    if (tcp) return { explanation: explainTcp(tcp, url) };
    if (!snapshot) {
      explanation.why.push(reasonOf(entry));
      return { explanation, ...(entry.state === 'error' && entry.error && { error: entry.error }) };
    }
    explanation.listener = snapshot.name;
    const recording = new Recording();
    this.#recording = recording;
    this.#random = request.random ?? 0;
    const sink = new Sink(request.response ?? { status: 200 });
    const stream = new OutboundRequest({ telemetry: noTelemetry, clock: still, random: this.#fraction, retriesOfRetries: true, retryBudgets: undefined }, snapshot, head, sink, { recorder: recording });
    stream.info.randomValue = this.#random;
    stream.run();
    stream.requestEnd(0);
    if (!sink.done) await Promise.race([sink.over, turns(3)]);
    this.#recording = undefined;
    if (!sink.done) stream.cancel();
    this.#describe(explanation, recording, sink, snapshot.filters.idle.bind(snapshot.filters));
    const { attempt, response } = sink;
    return { explanation: inOrder(explanation), ...(attempt && { sent: attempt.head }), ...(response && { response }) };
  }

  #entry(name: string): OutboundListenerEntry {
    let entry = this.#entries.get(name);
    if (!entry) {
      const { clientListener: listener, routeConfiguration } = this.#types;
      entry = new OutboundListenerEntry(name, { xds: this.#xds, clusters: explainedClusters(this.#clusters), types: { listener, routeConfiguration }, filterContext: this.#filterContext, clock: still, random: this.#fraction });
      this.#entries.set(name, entry);
    }
    return entry;
  }

  #describe(explanation: Explanation, recording: Recording, { attempt, answered: reply, mirrors }: Sink, idle: (route: NonNullable<Recording['route']>) => { name: string; why: string }[]): void {
    const { route, plan, requestEdits, responseEdits, filters, lines } = recording;
    if (recording.virtualHost !== undefined) explanation.virtualHost = recording.virtualHost;
    if (route) describeRoute(explanation, route);
    if (attempt) {
      explanation.path = attempt.head.path;
      explanation.authority = attempt.head.authority;
    }
    const location = reply?.headers?.find(([name]) => name === 'location')?.[1];
    if (location !== undefined) explanation.location = location;
    if (reply) explanation.status = reply.status;
    if (requestEdits.any) explanation.requestHeaders = requestEdits.said;
    if (responseEdits.any) explanation.responseHeaders = responseEdits.said;
    if (plan) describePlan(explanation, plan, recording.retry);
    if (attempt && explanation.hash !== undefined && attempt.host.key !== noHost) explanation.host = attempt.host.key;
    if (mirrors.length > 0) explanation.mirrors = mirrors;
    const said = route ? [...filters, ...idle(route).map(({ name, why }) => ({ name, verdict: why }))] : filters;
    if (said.length > 0) explanation.filters = said;
    explanation.why.push(...lines);
    if (!reply) return;
    if (!route) explanation.why.push('no route matches');
    else if (reply.details === 'cluster_not_found') explanation.why.push(String(reply.body));
    else if (explanation.action === 'route') explanation.why.push(`not sent: ${reply.details}`);
  }

  readonly #fraction = (): number => Number(BigInt.asUintN(53, BigInt(this.#random))) / 2 ** 53;
}

/** Takes what would be sent, and answers it. */
class Sink implements Downstream {
  readonly replayable = true;
  readonly bytesSent = 0;
  readonly mirrors: string[] = [];
  attempt: UpstreamAttempt | undefined;
  answered: LocalReply | undefined;
  response: Explained['response'];
  readonly over: Promise<void>;
  #finish!: () => void;
  readonly #answer: NonNullable<ExplainRequest['response']>;

  constructor(answer: NonNullable<ExplainRequest['response']>) {
    this.#answer = answer;
    this.over = new Promise((resolve) => (this.#finish = resolve));
  }

  get done(): boolean {
    return this.attempt !== undefined || this.answered !== undefined;
  }

  // Bodies are not explained: what filters do to them no route depends on.
  readonly hasBody = false;

  readBody(): void {}

  filterResponse(pipe: BodyPipe): void {
    pipe.open({ data: () => undefined, end: () => undefined });
    queueMicrotask(() => pipe.end());
  }

  connect(attempt: UpstreamAttempt): void {
    this.attempt ??= attempt;
    attempt.abort = () => undefined;
    const headers = new HeaderMap();
    for (const [name, value] of this.#answer.headers ?? []) headers.add(name.toLowerCase(), value);
    const head = { status: this.#answer.status, headers };
    // A response that would be retried is not one the application sees.
    if (attempt.onHead(head) === 'forward') {
      this.response = { status: head.status, headers: [...head.headers] };
      attempt.onEnd({ bytesSent: 0, bytesReceived: 0 });
    }
    this.#finish();
  }

  reply(reply: LocalReply): void {
    this.answered = reply;
    this.response = { status: reply.status, headers: reply.headers ?? [] };
    this.#finish();
  }

  limitReplay(): void {}

  whenWhole(send: () => void): void {
    send();
  }

  mirror(attempt: UpstreamAttempt & { cancel(reason: Error): void }): void {
    this.mirrors.push(attempt.cluster.name);
    attempt.cancel(new Error('only explained'));
  }

  breakOff(): void {
    this.#finish();
  }
}

function headOf({ url: text, method = 'GET', headers = [] }: ExplainRequest): RequestHead {
  const url = new URL(text);
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  const map = new HeaderMap();
  let authority = url.host;
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (lower === 'host' || lower === ':authority') authority = value;
    else map.add(lower, value);
  }
  const head: RequestHead = { protocol: 'http', method, scheme, authority, path: pathOf(text), headers: map };
  return isGrpc(head) ? { ...head, protocol: 'grpc' } : head;
}

/** As it is written: URL would resolve dots and encode letters that routes see as they came. */
function pathOf(url: string): string {
  const rest = /^[a-z]+:\/\/[^/?#]*([^#]*)/i.exec(url)?.[1] ?? '/';
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function reasonOf({ name, state, error }: OutboundListenerEntry): string {
  if (state === 'absent') return `listener ${name}: there is none; the mesh does not know this host`;
  return `listener ${name}: ${state === 'pending' ? 'a cluster of it is not ready' : (error?.message ?? 'no configuration')}`;
}

/** Neither learned from nor checked: both would need traffic. */
function undisturbed(config: ClusterConfig): ClusterConfig {
  const { outlierDetection: _outlierDetection, healthCheck: _healthCheck, ...rest } = config;
  return rest;
}

/** So many turns of the event loop: whatever needs no network has been heard of by then. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Bytes are chosen a host for when they are connected; all that is decided before is the cluster. */
function explainTcp(tcp: OutboundTcpSnapshot, { protocol, hostname }: URL): Explanation {
  const secure = protocol === 'https:';
  const clusters = selectTcpProxy(tcp, secure ? hostname : '')?.clusters.map(({ name, weight }) => ({ name, weight })) ?? [];
  const why = secure ? 'the application\'s own TLS, which the mesh carries as bytes' : `${tcp.name} is a port of bytes (TCP): dialled by HTTP it is an error (WEFT_WRONG_PROTOCOL); use mesh.connect`;
  return {
    listener: tcp.name,
    action: secure && clusters.length > 0 ? 'route' : 'none',
    ...(clusters.length === 1 ? { cluster: clusters[0]!.name } : clusters.length > 1 && { clusters }),
    why: [clusters.length > 0 ? why : `no chain for the server name ${hostname}`],
  };
}
