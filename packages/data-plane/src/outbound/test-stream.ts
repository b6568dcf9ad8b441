// Test doubles around one outbound request: a cluster that hands out hosts, and a downstream that tests drive by hand.
import { FakeClock } from '@weft/spiffe/testing';
import type { BodyPipe } from '../filter/body-pipe.js';
import type { RouterConfig } from '../filter/http/router.js';
import type { StreamFilters } from '../filter/filter-chain.js';
import type { PickContext } from '../load-balancing/load-balancer.js';
import type { ClusterConfig } from '../resource/cluster-config.js';
import { noMutations, type ForwardActionConfig, type HeaderMutationsConfig, type RetryPolicyConfig, type VirtualHostConfig } from '../resource/route-config.js';
import { RouteTable } from '../route/route-table.js';
import type { OutboundListenerSnapshot } from '../snapshot/outbound-listener.js';
import { HeaderMap } from '../stream/header-map.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { Host } from '../upstream/host.js';
import type { AttemptOutcome, UpstreamCluster } from '../upstream/upstream-cluster.js';
import type { Downstream, MirrorAttempt, UpstreamAttempt } from './downstream.js';
import { RetryBudgets } from './retry-budget.js';
import type { RetryOptions } from './retry-options.js';
import { OutboundRequest } from './outbound-stream.js';
import type { StreamOptions } from './outbound-engine.js';

const noOverrides = new Map<string, unknown>();

export class TestCluster implements UpstreamCluster {
  readonly name = 'payments';
  readonly config = { name: 'payments', transportSockets: [] as ClusterConfig['transportSockets'] } as ClusterConfig;
  readonly hosts: Host[];
  readonly outcomes: AttemptOutcome[] = [];
  running = 0;
  retries = 0;
  maxRetries = 3;
  usesHash = true;
  /** Given instead of a host. */
  refuse: LocalReply | undefined;
  #next = 0;

  constructor(hosts = 3, hostname = '') {
    this.hosts = Array.from({ length: hosts }, (_, i) => new Host(this, `10.0.0.${i + 1}:80`, { address: `10.0.0.${i + 1}`, port: 80, hostname, weight: 1, health: 'healthy', metadata: {}, identityMissing: false }));
  }

  /** What was asked for, attempt by attempt. */
  readonly contexts: PickContext[] = [];

  choose(context: PickContext): Host | LocalReply {
    this.contexts.push(context);
    return this.refuse ?? this.hosts[this.#next++ % this.hosts.length]!;
  }

  begin(): void {
    this.running++;
  }

  end(_host: Host, _priority: string, outcome: AttemptOutcome): void {
    this.running--;
    this.outcomes.push(outcome);
  }

  readonly timedOutHosts: string[] = [];

  timedOut(host: Host): void {
    this.timedOutHosts.push(host.key);
  }

  beginConnection(): void {}
  endConnection(): void {}
  report(): void {}

  beginRetry(): boolean {
    if (this.retries >= this.maxRetries) return false;
    this.retries++;
    return true;
  }

  endRetry(): void {
    this.retries--;
  }
}

export class TestDownstream implements Downstream {
  readonly attempts: UpstreamAttempt[] = [];
  readonly aborted: number[] = [];
  /** Of each attempt. */
  readonly withoutBody: boolean[] = [];
  readonly replies: LocalReply[] = [];
  readonly broken: Error[] = [];
  readonly mirrors: MirrorAttempt[] = [];
  replayable = true;
  readonly hasBody = true;
  readonly pipes: BodyPipe[] = [];
  bytesSent = 0;
  replayLimit: number | undefined;
  /** Whether attempts have their connection at once. */
  connects = true;
  /** Set: the body is not whole yet; calling it makes it so. */
  becomeWhole: (() => void) | undefined;

  constructor({ whole }: { whole: boolean }) {
    if (!whole) this.becomeWhole = () => undefined;
  }

  whenWhole(send: () => void): void {
    if (this.becomeWhole) this.becomeWhole = send;
    else send();
  }

  readBody(pipe: BodyPipe): void {
    this.pipes.push(pipe);
  }

  filterResponse(pipe: BodyPipe): void {
    this.pipes.push(pipe);
  }

  limitReplay(bytes: number): void {
    this.replayLimit = bytes;
  }

  mirror(attempt: MirrorAttempt): void {
    this.mirrors.push(attempt);
  }

  connect(attempt: UpstreamAttempt, withoutBody = false): void {
    this.withoutBody.push(withoutBody);
    attempt.abort = () => void this.aborted.push(attempt.number);
    this.attempts.push(attempt);
    if (this.connects) attempt.onReady();
  }

  reply(reply: LocalReply): void {
    this.replies.push(reply);
  }

  breakOff(error: Error): void {
    this.broken.push(error);
  }

  get last(): UpstreamAttempt {
    return this.attempts.at(-1)!;
  }

  /** The present attempt answers. */
  answer(status: number, headers: Record<string, string> = {}, grpcStatus?: number): 'forward' | 'discard' {
    return this.last.onHead({ status, headers: HeaderMap.from(headers), ...(grpcStatus !== undefined && { grpcStatus }) });
  }
}

export interface TestStreamOptions {
  /** Header edits of the route. */
  mutations?: HeaderMutationsConfig;
  action?: Partial<ForwardActionConfig>;
  retryPolicy?: Partial<RetryPolicyConfig>;
  headers?: Record<string, string>;
  protocol?: 'http' | 'grpc';
  filters?: StreamFilters;
  /** In place of `filters`: each request starts filters of its own. */
  chain?: OutboundListenerSnapshot['filters'];
  /** What the downstream does instead. */
  model?: Partial<Downstream>;
  stream?: StreamOptions;
  hosts?: number;
  /** Of each host. */
  hostname?: string;
  maxStreamDurationMs?: number;
  streamIdleTimeoutMs?: number;
  router?: Partial<RouterConfig>;
  retries?: RetryOptions;
  virtualHost?: Partial<VirtualHostConfig>;
  includeAttemptCount?: boolean;
  /** Whether the body is at hand from the start. Default true. */
  whole?: boolean;
  random?: () => number;
  /** Of the cluster. */
  usesHash?: boolean;
  /** Clusters that only requests name. */
  dynamic?: OutboundListenerSnapshot['dynamic'];
}

export function testStream(options: TestStreamOptions = {}) {
  const { action = {}, headers = {}, protocol = 'http', filters } = options;
  const cluster = new TestCluster(options.hosts, options.hostname);
  if (options.usesHash !== undefined) cluster.usesHash = options.usesHash;
  const mirror = new TestCluster(1);
  const downstream = Object.assign(new TestDownstream({ whole: options.whole ?? true }), options.model);
  const clock = new FakeClock();
  const ended: StreamInfo[] = [];
  const retryPolicy: RetryPolicyConfig | undefined = options.retryPolicy && {
    retryOn: [], numRetries: 2, retriableStatusCodes: [], retriableHeaders: [], retriableRequestHeaders: [], backoff: { baseMs: 25, maxMs: 250 }, avoidPreviousHosts: false, hostSelectionAttempts: 1, ...options.retryPolicy,
  };
  const routes = new RouteTable({
    name: 'payments', mutations: noMutations, mostSpecificHeaderMutationsWins: false, ignorePortInHostMatching: false, maxDirectResponseBodySize: 4096, filterOverrides: noOverrides,
    virtualHosts: [{
      name: 'payments', domains: ['*'], mutations: noMutations, includeRequestAttemptCount: options.includeAttemptCount ?? false, filterOverrides: noOverrides, ...options.virtualHost,
      routes: [{
        name: 'default', mutations: options.mutations ?? noMutations, filterOverrides: noOverrides, metadata: {},
        match: { path: { kind: 'prefix', value: '/', caseSensitive: true }, headers: [], queryParameters: [], grpc: false },
        action: { kind: 'route', cluster: { kind: 'cluster', name: 'payments' }, clusterNotFoundStatus: 503, timeoutMs: 0, appendXForwardedHost: false, hashPolicies: [], mirrors: [], priority: 'default', ...(retryPolicy && { retryPolicy }), ...action },
      }],
    }],
  });
  const snapshot = {
    name: 'payments:80', routes, filters: options.chain ?? { forRoute: () => filters && { start: () => filters } } as unknown as OutboundListenerSnapshot['filters'],
    clusters: new Map([['payments', cluster], ['mirror', mirror]]), maxStreamDurationMs: options.maxStreamDurationMs ?? 0, ...(options.dynamic && { dynamic: options.dynamic }), streamIdleTimeoutMs: options.streamIdleTimeoutMs ?? 0,
    ...(options.router && { router: { suppressEnvoyHeaders: false, respectExpectedTimeout: false, strictCheckHeaders: [], ...options.router } }),
  };
  const head: RequestHead = { protocol, method: 'POST', scheme: 'http', authority: 'payments', path: '/pay', headers: HeaderMap.from(headers) };
  const { ofRetries = true, budget } = options.retries ?? {};
  const services = {
    telemetry: { start: () => undefined, end: (info: StreamInfo) => void ended.push(info) }, clock, random: options.random ?? (() => 0.999999), retriesOfRetries: ofRetries, retryBudgets: budget && new RetryBudgets(budget, clock),
  };
  const stream = new OutboundRequest(services, snapshot, head, downstream, options.stream);
  stream.run();
  /** A second request to the same cluster. */
  const another = () => {
    const second = new TestDownstream({ whole: true });
    const request = new OutboundRequest(services, snapshot, { ...head, headers: HeaderMap.from(headers) }, second, options.stream);
    request.run();
    return { stream: request, downstream: second, clock };
  };
  return { stream, cluster, mirror, downstream, clock, ended, head, another };
}
