// One cluster as requests see it: chooses hosts, counts what runs, learns from outcomes. Its endpoints come from a cluster
// type; configuration and endpoints change in place, so that snapshots which hold it need not be made anew.
import type { PickContext, Picker } from '../load-balancing/load-balancer.js';
import type { PriorityAvailability } from '../load-balancing/panic.js';
import { availabilityOf, type PriorityHosts } from '../load-balancing/priority-picker.js';
import type { ClusterConfig, EndpointsConfig, HealthStatus } from '../resource/cluster-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { Logger } from '../telemetry/logger.js';
import type { Stats } from '../telemetry/stats.js';
import { ClusterBalancing, type BalancingContext } from './cluster-balancing.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { ClusterStats } from './cluster-stats.js';
import { hostKeyOf } from './dns/dns-cache.js';
import { HealthChecker } from './health/health-checker.js';
import type { HealthProber } from './health/health-probe.js';
import type { Host, LoadTracker } from './host.js';
import { HostSet } from './host-set.js';
import { OutlierDetector } from './outlier-detector.js';
import type { AttemptOutcome, ChooseContext, RoutePriority, UpstreamCluster } from './upstream-cluster.js';
import { dropOverload, noHealthyUpstream, overflow } from './upstream-replies.js';

export interface ClusterContext extends BalancingContext {
  logger: Logger;
  /** How hosts are asked whether they are well; without it health checks are not made and hosts count as healthy (tests). */
  prober?: HealthProber;
  /** Where clusters count; absent in tests. */
  stats?: Stats;
}

const usableStatuses: readonly HealthStatus[] = ['unknown', 'healthy', 'degraded'];

export class Cluster implements UpstreamCluster {
  readonly name: string;
  readonly #context: ClusterContext;
  readonly #hostSet: HostSet;
  readonly #stats: ClusterStats;
  readonly #breaker: CircuitBreaker;
  readonly #balancing: ClusterBalancing;
  #config: ClusterConfig;
  #endpoints: EndpointsConfig | undefined;
  /** Of a dynamic forward proxy: hosts by `host:port`. */
  #byName: ReadonlyMap<string, Host> | undefined;
  #availability: readonly PriorityAvailability[] | undefined;
  #outliers: OutlierDetector | undefined;
  #health: HealthChecker | undefined;
  /** Whether health checks have had their say about the first hosts: before that all of them would count as failed. */
  #settled = false;
  #hadTraffic = false;
  readonly #onReady: () => void;
  #closed = false;
  readonly #listeners = new Set<() => void>();

  /** Throws where the load-balancing policy is not known. `onReady`: called when `ready` becomes true by itself, after the first health checks. */
  constructor(config: ClusterConfig, context: ClusterContext, onReady: () => void = () => undefined) {
    this.#onReady = onReady;
    this.name = config.name;
    this.#config = config;
    this.#context = context;
    this.#hostSet = new HostSet(this);
    this.#stats = new ClusterStats(context.stats, config.name);
    this.#breaker = new CircuitBreaker(config, this.#stats);
    this.#balancing = new ClusterBalancing(this, config, context);
    this.#outliers = this.#makeOutliers();
    this.#health = this.#makeHealthChecker();
  }

  get config(): ClusterConfig {
    return this.#config;
  }

  get usesHash(): boolean {
    return this.#balancing.usesHash;
  }

  get tracker(): LoadTracker | undefined {
    return this.#balancing.tracker;
  }

  /** Its endpoints are known, though there may be none, and were checked once where there are health checks. */
  get ready(): boolean {
    return this.#endpoints !== undefined && this.#settled;
  }

  get hosts(): readonly Host[] {
    return this.#hostSet.all;
  }

  get priorities(): readonly PriorityHosts[] {
    return this.#hostSet.priorities;
  }

  get overprovisioning(): number {
    return this.#endpoints?.overprovisioningFactor ?? this.#config.overprovisioningFactor;
  }

  /** Attempts that run or wait. */
  get activeRequests(): number {
    return this.#breaker.active('default') + this.#breaker.active('high');
  }

  /** Called when hosts or their health changed. Returns the way to stop. */
  subscribe(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  }

  /** Takes a new configuration; hosts and what runs stay. Throws, changing nothing, where the policy is not known. */
  update(config: ClusterConfig): void {
    const before = this.#config;
    this.#balancing.update(config, !same(before.loadBalancing, config.loadBalancing));
    this.#config = config;
    this.#breaker.update(config);
    if (!same(before.outlierDetection, config.outlierDetection)) {
      this.#outliers?.close();
      this.#outliers = this.#makeOutliers();
    }
    if (!same(healthSettings(before), healthSettings(config))) {
      this.#health?.close({ keepHealth: config.healthCheck !== undefined });
      const checked = new Set(before.healthCheck ? this.hosts : []);
      this.#health = this.#makeHealthChecker();
      if (this.#endpoints && !this.#health) this.#settled = true;
      // Hosts that are in use keep the health they have until they are asked.
      if (this.#endpoints) this.#health?.sync(this.hosts, (host) => checked.has(host) || this.#settled);
    }
    // Connections made under other TLS or protocol settings must not carry further requests.
    if (!same(transportSettings(before), transportSettings(config))) for (const host of this.hosts) closeTransports(host);
    this.#refresh();
  }

  setEndpoints(endpoints: EndpointsConfig): void {
    this.#endpoints = endpoints;
    const before = new Set(this.hosts);
    // As in Envoy, health checks outweigh discovery: it may be discovery that is wrong.
    const keeps = this.#health !== undefined && this.#config.ignoreHealthOnHostRemoval !== true;
    const { removed, changed } = this.#hostSet.update(endpoints, this.#context.clock.now(), (host) => keeps && !host.checkFailed && host.config.healthCheck?.disabled !== true);
    for (const host of changed) closeTransports(host);
    for (const host of removed) if (host.activeRequests === 0) closeTransports(host);
    if (this.#config.type.kind === 'dynamic-forward-proxy') this.#byName = new Map(this.hosts.map((host) => [host.config.logicalName ?? host.key, host]));
    this.#health?.sync(this.hosts, (host) => before.has(host));
    this.#settled ||= this.#health === undefined || this.#health.settled;
    this.#closeUnhealthy(this.hosts);
    this.#refresh();
  }

  choose(context: ChooseContext): Host | LocalReply {
    for (const { category, numerator, denominator } of this.#endpoints?.drops ?? []) {
      if (Math.floor(this.#context.random() * denominator) < numerator) return dropOverload(category);
    }
    if (!this.#allows(context)) return overflow();
    if (this.#byName) return this.#named(context, this.#byName);
    return this.#choose(context, this.#balancing.picker) ?? this.#noHost(context);
  }

  /** For aggregate clusters: what its priorities can carry. Another object whenever hosts or their health changed. */
  get availability(): readonly PriorityAvailability[] {
    return (this.#availability ??= this.#hostSet.priorities.map((hosts) => ({ ...availabilityOf(hosts), overprovisioning: this.overprovisioning })));
  }

  /** For aggregate clusters, which chose one of its priorities. No drops: the router asks the aggregate cluster for those, as in Envoy. */
  chooseAt(priority: number, degraded: boolean, context: ChooseContext): Host | LocalReply {
    const { picker } = this.#balancing;
    const host = this.#choose(context, { pick: (pickContext) => picker.pickAt(priority, degraded, pickContext) });
    if (!host) return this.#noHost(context);
    return this.#allows(context) ? host : overflow();
  }

  #allows({ priority, connection }: ChooseContext): boolean {
    return connection === true ? this.#breaker.allowsConnection(priority) : this.#breaker.allows(priority);
  }

  begin(host: Host, priority: RoutePriority): void {
    host.activeRequests++;
    this.#hadTraffic = true;
    this.#breaker.begin(priority);
  }

  end(host: Host, priority: RoutePriority, outcome: AttemptOutcome): void {
    host.activeRequests--;
    this.#breaker.end(priority);
    if (host.removed) {
      if (host.activeRequests === 0) closeTransports(host);
    } else this.#outliers?.record(host, outcome);
  }

  timedOut(host: Host): void {
    if (!host.removed) this.#outliers?.record(host, { failure: 'per-try-timeout', durationMs: 0 });
  }

  beginConnection(host: Host, priority: RoutePriority): void {
    host.activeRequests++;
    this.#breaker.beginConnection(priority);
  }

  endConnection(host: Host, priority: RoutePriority): void {
    host.activeRequests--;
    this.#breaker.endConnection(priority);
    if (host.removed && host.activeRequests === 0) closeTransports(host);
  }

  report(host: Host, outcome: AttemptOutcome): void {
    if (!host.removed) this.#outliers?.record(host, outcome);
  }

  beginRetry(priority: RoutePriority): boolean {
    return this.#breaker.beginRetry(priority);
  }

  endRetry(priority: RoutePriority): void {
    this.#breaker.endRetry(priority);
  }

  /** Stops timers; connections close as their last request ends. Requests that still hold the cluster may go on choosing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outliers?.close();
    this.#outliers = undefined;
    this.#balancing.close();
    this.#health?.close({ keepHealth: true });
    this.#health = undefined;
    for (const host of this.hosts) {
      host.removed = true;
      if (host.activeRequests === 0) closeTransports(host);
    }
  }

  /** What filters and the override_host policy ask for comes before the policy. */
  #choose(context: PickContext, picker: Picker): Host | undefined {
    const { overrideHost, candidates } = context;
    if (overrideHost) {
      const host = this.#hostSet.get(overrideHost.address);
      if (host && (this.#config.overrideHostStatus ?? usableStatuses).includes(statusOf(host))) return host;
      if (overrideHost.strict) return undefined;
    }
    if (candidates) {
      for (let address = candidates.next(); address !== undefined; address = candidates.next()) {
        const host = this.#hostSet.get(address);
        if (host) return host;
      }
    }
    return this.#pick(context, picker);
  }

  #named({ authority = '' }: ChooseContext, hosts: ReadonlyMap<string, Host>): Host | LocalReply {
    const key = hostKeyOf(authority, this.#config.transportSockets.some(({ tls }) => tls !== undefined) ? 443 : 80);
    const host = hosts.get(key);
    if (!host) return noHealthyUpstream(`the address of ${key} is not known in ${this.name}`);
    return host.available || host.degraded ? host : noHealthyUpstream(`${key} (${host.key}) of ${this.name} is ${host.ejected ? 'ejected' : 'unhealthy'}`);
  }

  /** Hosts that earlier attempts used, or that the retry's predicates are against: picked anew a few times, then taken after all. */
  #pick(context: PickContext, picker: Picker): Host | undefined {
    const { attempted, refuses } = context;
    let host = picker.pick(context);
    if (attempted === undefined && refuses === undefined) return host;
    const most = context.hostSelectionAttempts ?? 1;
    const refused = (candidate: Host) => attempted?.includes(candidate) === true || refuses?.(candidate) === true;
    for (let reselection = 1; reselection <= most && host !== undefined && refused(host); reselection++) host = picker.pick({ ...context, reselection });
    return host;
  }

  #noHost({ overrideHost }: PickContext): LocalReply {
    const reply = noHealthyUpstream(overrideHost?.strict === true ? `${overrideHost.address} is not a host of ${this.name}, or not well` : this.#whyNone());
    return overrideHost?.strict === true && overrideHost.missingStatus !== undefined ? { ...reply, status: overrideHost.missingStatus } : reply;
  }

  #whyNone(): string {
    const { hosts, name } = this;
    if (hosts.length === 0) return `${name} has no endpoints`;
    const ejected = hosts.filter((host) => host.ejected).length;
    const unhealthy = hosts.filter(({ checkFailed, config: { health } }) => checkFailed || (health !== 'healthy' && health !== 'unknown' && health !== 'degraded')).length;
    return `none of the ${hosts.length} endpoints of ${name} can be chosen (${unhealthy} unhealthy, ${ejected} ejected)`;
  }

  #refresh(): void {
    this.#availability = undefined;
    this.#balancing.refresh();
    for (const changed of this.#listeners) changed();
  }

  #makeOutliers(): OutlierDetector | undefined {
    const { outlierDetection } = this.#config;
    if (!outlierDetection) return undefined;
    return new OutlierDetector({
      clusterName: this.name,
      config: outlierDetection,
      stats: this.#stats,
      clock: this.#context.clock,
      random: this.#context.random,
      logger: this.#context.logger,
      hosts: () => this.hosts,
      onChange: (hosts) => {
        this.#closeUnhealthy(hosts);
        this.#refresh();
      },
    });
  }

  #makeHealthChecker(): HealthChecker | undefined {
    const { healthCheck, ignoreNewHostsUntilFirstHc } = this.#config;
    const { clock, logger, random, prober } = this.#context;
    if (!healthCheck || !prober) return undefined;
    return new HealthChecker({
      clusterName: this.name, config: healthCheck, ignoreNewHosts: ignoreNewHostsUntilFirstHc === true, stats: this.#stats, clock, logger, prober, random,
      hadTraffic: () => this.#hadTraffic,
      onResult: (host, healthy, changed) => this.#onHealth(host, healthy, changed),
      onFirstRound: () => {
        if (this.#settled) return;
        this.#settled = true;
        if (this.ready) this.#onReady();
      },
    });
  }

  #onHealth(host: Host, healthy: boolean, changed: boolean): void {
    if (healthy && !host.checkFailed) this.#outliers?.healthCheckPassed(host);
    if (!changed) return;
    if (healthy) host.availableSince = this.#context.clock.now();
    if (host.leaving && host.checkFailed && this.#endpoints) return this.setEndpoints(this.#endpoints);
    this.#closeUnhealthy([host]);
    this.#refresh();
  }

  #closeUnhealthy(hosts: readonly Host[]): void {
    if (!this.#config.closeConnectionsOnHostHealthFailure) return;
    for (const host of hosts) if (!host.available && !host.degraded) closeTransports(host);
  }
}

function statusOf(host: Host): HealthStatus {
  if (host.ejected || host.checkFailed) return 'unhealthy';
  return host.checkDegraded ? 'degraded' : host.config.health;
}

/** Requests in flight finish; the next request makes new connections. */
function closeTransports(host: Host): void {
  const transports = [...host.transports.values()];
  host.transports.clear();
  for (const transport of transports) transport.close();
}

function transportSettings(config: ClusterConfig): unknown {
  const { transportSockets, protocol, connectTimeoutMs, maxRequestsPerConnection, idleTimeoutMs, maxConnectionDurationMs, maxConcurrentStreams, http2KeepAlive, tcpKeepAliveMs, happyEyeballs, sourceAddresses, maxConnectionsPerHost, thresholds } = config;
  return { transportSockets, protocol, connectTimeoutMs, maxRequestsPerConnection, idleTimeoutMs, maxConnectionDurationMs, maxConcurrentStreams, http2KeepAlive, tcpKeepAliveMs, happyEyeballs, sourceAddresses, maxConnectionsPerHost, maxConnections: thresholds.default.maxConnections };
}

function healthSettings({ healthCheck, ignoreNewHostsUntilFirstHc }: ClusterConfig): unknown {
  return { healthCheck, ignoreNewHostsUntilFirstHc };
}

function same(a: unknown, b: unknown): boolean {
  return a === b || stringify(a) === stringify(b);
}

function stringify(value: unknown): string | undefined {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item));
}
