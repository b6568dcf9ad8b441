// One endpoint of one cluster. Keeps its identity (and so its connections and counters) across endpoint updates.
import type { EndpointConfig } from '../resource/cluster-config.js';

export class Host {
  /** `IP:port`, `[IPv6]:port` or the socket path. */
  readonly key: string;
  readonly clusterName: string;
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
  /** Set when the endpoint left its cluster; requests that have it finish, pools drain. */
  removed = false;
  /** Where adapters keep their connections to this host, by transport (`http`, `grpc`). Closed when the host is removed. */
  readonly transports = new Map<string, HostTransport>();

  constructor(clusterName: string, key: string, config: EndpointConfig) {
    this.clusterName = clusterName;
    this.key = key;
    this.config = config;
  }

  /** Whether a load balancer may choose it outside of panic. */
  get available(): boolean {
    return !this.ejected && (this.config.health === 'healthy' || this.config.health === 'unknown');
  }
}

/** Connections to one host. */
export interface HostTransport {
  /** Lets requests in flight finish, then closes. */
  close(): void;
}
