// Connections that carry bytes: one to a host, secured as requests to it are.
import type { TlsContexts } from '@weft/spiffe';
import type { ClusterConfig, EndpointConfig } from '../resource/cluster-config.js';
import type { Host } from '../upstream/host.js';
import { connect, type Connected, type ConnectTarget, type UpstreamConnectError } from './connector.js';
import { connectTarget } from './http-transport.js';

export class TcpTransport {
  readonly #contexts: TlsContexts | undefined;
  // Key material in files is read once an endpoint, not once a connection.
  readonly #targets = new WeakMap<EndpointConfig, { cluster: ClusterConfig; target: ConnectTarget }>();

  constructor({ tls }: { tls: TlsContexts | undefined }) {
    this.#contexts = tls;
  }

  /** @returns stops the attempt; the callback is then not called. */
  connect(host: Host, allowHalfOpen: boolean, callback: Connected): () => void {
    let target: ConnectTarget;
    try {
      target = this.#target(host.config, host.cluster.config);
    } catch (error) {
      callback(error as UpstreamConnectError, null);
      return () => undefined;
    }
    return connect({ ...target, allowHalfOpen }, callback);
  }

  #target(endpoint: EndpointConfig, cluster: ClusterConfig): ConnectTarget {
    const known = this.#targets.get(endpoint);
    if (known?.cluster === cluster) return known.target;
    const target = connectTarget(cluster, endpoint, this.#contexts);
    this.#targets.set(endpoint, { cluster, target });
    return target;
  }
}
