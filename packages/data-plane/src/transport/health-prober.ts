// Asks hosts whether they are well, over connections of its own that are made like those of requests: the same TLS, the same identity.
import type { TlsContexts } from '@weft/spiffe';
import type { ClusterConfig, EndpointConfig, HealthCheckConfig } from '../resource/cluster-config.js';
import { Host, type HostCluster } from '../upstream/host.js';
import type { HealthProbe, HealthProber } from '../upstream/health/health-probe.js';
import { connect as connectSocket } from './connector.js';
import { grpcProbe } from './grpc-probe.js';
import { GrpcTransport } from './grpc-transport.js';
import { httpProbe } from './http-probe.js';
import { connectTarget, HttpTransport } from './http-transport.js';
import { tcpProbe } from './tcp-probe.js';

export class TransportProber implements HealthProber {
  readonly #tls: TlsContexts | undefined;
  readonly #http: HttpTransport;
  readonly #grpc: GrpcTransport;

  constructor({ tls }: { tls: TlsContexts | undefined }) {
    this.#tls = tls;
    this.#http = new HttpTransport({ tls });
    this.#grpc = new GrpcTransport({ tls });
  }

  probe(config: HealthCheckConfig, host: Host): HealthProbe {
    const { check } = config;
    const target = new ProbeTarget(config, host);
    const defaultAuthority = (configured: string) => host.config.healthCheck?.hostname ?? (configured || host.cluster.name);
    let probe: HealthProbe;
    if (check.kind === 'http') probe = httpProbe(check, defaultAuthority(check.host), () => this.#http.dispatcher(target.host(), target.host().cluster));
    else if (check.kind === 'grpc') probe = grpcProbe(check, defaultAuthority(check.authority), () => this.#grpc.channel(target.host(), target.host().cluster));
    else probe = tcpProbe(check, (done) => connectSocket(connectTarget(target.host().cluster.config, target.host().config, this.#tls), done), config.reuseConnection);
    return {
      run: (done) => {
        const stop = probe.run((result) => {
          if (!config.reuseConnection) target.closeConnections();
          done(result);
        });
        return stop;
      },
      close() {
        probe.close();
        target.closeConnections();
      },
    };
  }

  async close(): Promise<void> {
    this.#grpc.close();
    await this.#http.close();
  }
}

/** The host as it is asked: maybe at another port, under another choice of TLS, with pools that no request shares. */
class ProbeTarget {
  readonly #check: HealthCheckConfig;
  readonly #of: Host;
  #made: { endpoint: EndpointConfig; cluster: ClusterConfig; host: Host } | undefined;

  constructor(check: HealthCheckConfig, of: Host) {
    this.#check = check;
    this.#of = of;
  }

  /** As the host's configuration is now; the connections stay where it did not change. */
  host(): Host {
    const { config: endpoint, cluster: { name, config: cluster } } = this.#of;
    const known = this.#made;
    if (known?.endpoint === endpoint && known.cluster === cluster) return known.host;
    const config = probedCluster(this.#check, cluster);
    const of: HostCluster = { name, config, begin: () => undefined, end: () => undefined, timedOut: () => undefined, beginConnection: () => undefined, endConnection: () => undefined, report: () => undefined };
    const host = new Host(of, this.#of.key, probedEndpoint(this.#check, endpoint));
    for (const [key, transport] of known?.host.transports ?? []) host.transports.set(key, transport);
    this.#made = { endpoint, cluster, host };
    return host;
  }

  closeConnections(): void {
    const { transports } = this.#made?.host ?? {};
    for (const transport of transports?.values() ?? []) transport.close();
    transports?.clear();
  }
}

function probedEndpoint({ altPort, transportSocketMatch }: HealthCheckConfig, endpoint: EndpointConfig): EndpointConfig {
  const { healthCheck } = endpoint;
  return {
    ...endpoint,
    address: healthCheck?.address ?? endpoint.address,
    port: healthCheck?.port ?? altPort ?? endpoint.port,
    ...(transportSocketMatch && { metadata: { ...endpoint.metadata, 'envoy.transport_socket_match': transportSocketMatch } }),
  };
}

/** One connection, which lives for as long as it is reused and is not counted among those of requests. */
function probedCluster({ check, alpn }: HealthCheckConfig, cluster: ClusterConfig): ClusterConfig {
  const { maxRequestsPerConnection: _requests, maxConnectionDurationMs: _duration, ...rest } = cluster;
  const priority = { ...cluster.thresholds.default, maxConnections: 1 };
  const protocol = check.kind === 'grpc' || (check.kind === 'http' && check.http2) ? 'http2' : 'http1';
  const transportSockets = alpn.length === 0 ? cluster.transportSockets : cluster.transportSockets.map((socket) => (socket.tls ? { ...socket, tls: { ...socket.tls, alpn } } : socket));
  return { ...rest, protocol, transportSockets, idleTimeoutMs: 0, thresholds: { default: priority, high: priority } };
}
