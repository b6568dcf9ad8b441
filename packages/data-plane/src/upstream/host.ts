// One endpoint of one cluster. Keeps its identity (and so its connections and counters) across endpoint updates.
import type { ClusterConfig, EndpointConfig } from '../resource/cluster-config.js';
import type { AttemptOutcome } from './attempt-outcome.js';
import type { AttemptTracker } from './attempt-tracker.js';

export type RoutePriority = 'default' | 'high';

/** Learns from the attempts of one cluster. */
export interface LoadTracker {
  /** An attempt starts at this host; how it goes on is told to the one returned. */
  begin(host: Host): AttemptTracker;
  close?(): void;
}

/** What a host's connections and accounting need of its cluster. */
export interface HostCluster {
  readonly name: string;
  readonly config: ClusterConfig;
  /** Where the load-balancing policy learns from attempts: told of each of them. */
  readonly tracker?: LoadTracker | undefined;
  /** An attempt starts on this host, which is of this very cluster (`host.cluster`). Every begin is followed by exactly one end. */
  begin(host: Host, priority: RoutePriority): void;
  end(host: Host, priority: RoutePriority, outcome: AttemptOutcome): void;
  /** An attempt at this host has had its time, and goes on nevertheless (hedging). */
  timedOut(host: Host): void;
  /** A connection that carries bytes: it counts from before it is made. Every begin is followed by exactly one end. */
  beginConnection(host: Host, priority: RoutePriority): void;
  endConnection(host: Host, priority: RoutePriority): void;
  /** How making it ended, for outlier detection. */
  report(host: Host, outcome: AttemptOutcome): void;
}

export class Host {
  /** `IP:port`, `[IPv6]:port` or the socket path. */
  readonly key: string;
  /** Whose limits, transport settings and outlier detection it has: behind an aggregate cluster, the member's. */
  readonly cluster: HostCluster;
  /** The latest configuration of this endpoint. */
  config: EndpointConfig;
  priority = 0;
  locality = '';
  /** Requests in flight: what least request compares. */
  activeRequests = 0;
  /** When it joined the cluster, or the control plane last called it healthy again; in the cluster's clock. Slow start counts from here. */
  availableSince = 0;
  /** Set by outlier detection. */
  ejected = false;
  /** Set by active health checks: it failed them, or was not checked yet. */
  checkFailed = false;
  /** Set by active health checks: it answers, but asks for little. */
  checkDegraded = false;
  /** Not checked yet, and not to be counted before (`ignore_new_hosts_until_first_hc`). */
  checkPending = false;
  /** The control plane took it out, but it passes its health checks: it stays until it fails one. */
  leaving = false;
  /** Set when the endpoint left its cluster; requests that have it finish, pools drain. */
  removed = false;
  /** Where adapters keep their connections to this host, by transport (`http`, `grpc`). Closed when the host is removed. */
  readonly transports = new Map<string, HostTransport>();

  constructor(cluster: HostCluster, key: string, config: EndpointConfig) {
    this.cluster = cluster;
    this.key = key;
    this.config = config;
  }

  /** Whether a load balancer may choose it outside of panic. */
  get available(): boolean {
    return this.#usable && !this.checkDegraded && this.config.health !== 'degraded';
  }

  /** Whether it is chosen only for what the others cannot carry. */
  get degraded(): boolean {
    return this.#usable && (this.checkDegraded || this.config.health === 'degraded');
  }

  get #usable(): boolean {
    const { health } = this.config;
    return !this.ejected && !this.checkFailed && (health === 'healthy' || health === 'unknown' || health === 'degraded');
  }
}

/** Connections to one host. */
export interface HostTransport {
  /** Lets requests in flight finish, then closes. */
  close(): void;
}
