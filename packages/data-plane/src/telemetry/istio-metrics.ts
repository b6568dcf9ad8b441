// istio_requests_total and its histograms. A series is found once per edge (who to whom, and how it ended) and held.
import type { StreamInfo, WorkloadInfo } from '../stream/stream-info.js';
import type { Counter, Family, Histogram, Stats } from './stats.js';

/** In Istio's order of emission. Every one is always present; Kiali skips series that lack one. */
export const istioLabels = [
  'reporter',
  'source_workload', 'source_canonical_service', 'source_canonical_revision', 'source_workload_namespace', 'source_principal', 'source_app', 'source_version', 'source_cluster',
  'destination_workload', 'destination_workload_namespace', 'destination_principal', 'destination_app', 'destination_version', 'destination_service',
  'destination_canonical_service', 'destination_canonical_revision', 'destination_service_name', 'destination_service_namespace', 'destination_cluster',
  'request_protocol', 'response_code', 'grpc_response_status', 'response_flags', 'connection_security_policy',
] as const;

/** Envoy's default histogram buckets, milliseconds; Istio uses them for bytes too. */
export const istioBuckets = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000] as const;

export interface IstioMetricsOptions {
  workload: () => WorkloadInfo;
  principal: () => string | undefined;
  maxSeries?: number | undefined;
}

interface Series {
  requests: Counter;
  duration: Histogram;
  requestBytes: Histogram;
  responseBytes: Histogram;
}

const heldSeries = 10_000;

export class IstioMetrics {
  readonly #options: IstioMetricsOptions;
  readonly #requests: Family<Counter>;
  readonly #duration: Family<Histogram>;
  readonly #requestBytes: Family<Histogram>;
  readonly #responseBytes: Family<Histogram>;
  #held = new Map<string, Series>();

  constructor(stats: Stats, options: IstioMetricsOptions) {
    this.#options = options;
    const common = { labels: istioLabels, overflowKeeps: ['reporter'], ...(options.maxSeries !== undefined && { maxSeries: options.maxSeries }) };
    this.#requests = stats.counter({ name: 'istio_requests_total', help: 'Requests of the mesh', ...common });
    this.#duration = stats.histogram({ name: 'istio_request_duration_milliseconds', help: 'Duration of requests', buckets: istioBuckets, ...common });
    this.#requestBytes = stats.histogram({ name: 'istio_request_bytes', help: 'Size of request bodies', buckets: istioBuckets, ...common });
    this.#responseBytes = stats.histogram({ name: 'istio_response_bytes', help: 'Size of response bodies', buckets: istioBuckets, ...common });
  }

  record(info: StreamInfo, durationMs: number): void {
    const series = this.#series(info);
    const outbound = info.direction === 'outbound';
    series.requests.add();
    series.duration.observe(durationMs);
    series.requestBytes.observe(outbound ? info.bytesSent : info.bytesReceived);
    series.responseBytes.observe(outbound ? info.bytesReceived : info.bytesSent);
  }

  /** Our own labels changed. */
  forget(): void {
    this.#held = new Map();
  }

  #series(info: StreamInfo): Series {
    const peer = info.peerWorkload;
    const principal = info.direction === 'outbound' ? info.upstreamSpiffeId : info.peer?.spiffeId;
    const own = this.#options.principal();
    // Everything that a label is made of and that may differ between two requests of this process.
    const key = `${info.direction}|${info.protocol}|${info.status}|${info.grpcStatus ?? ''}|${info.flags.length > 0 ? info.flags.join() : ''}|${info.mutualTls}|${info.destination?.host ?? ''}|${principal ?? ''}|${own ?? ''}|${
      peer ? `${peer.name}|${peer.namespace}|${peer.canonicalService}|${peer.canonicalRevision}|${peer.cluster}` : ''
    }`;
    const held = this.#held.get(key);
    if (held) return held;
    const labels = this.#labels(info, principal, own);
    const series = {
      requests: this.#requests.series(...labels),
      duration: this.#duration.series(...labels),
      requestBytes: this.#requestBytes.series(...labels),
      responseBytes: this.#responseBytes.series(...labels),
    };
    // Peers can vary what the key is made of.
    if (this.#held.size >= heldSeries) this.#held = new Map();
    this.#held.set(key, series);
    return series;
  }

  #labels(info: StreamInfo, peerPrincipal: string | undefined, ownPrincipal: string | undefined): string[] {
    const outbound = info.direction === 'outbound';
    const own = this.#options.workload();
    const [source, destination] = outbound ? [own, info.peerWorkload] : [info.peerWorkload, own];
    const ownShown = info.mutualTls ? ownPrincipal : undefined;
    const [sourcePrincipal, destinationPrincipal] = outbound ? [ownShown, info.mutualTls ? peerPrincipal : undefined] : [peerPrincipal, ownShown];
    // Without exchanged metadata a certificate still tells the namespace.
    const sourceNamespace = source?.namespace || (outbound ? undefined : info.peer?.namespace);
    const service = info.destination;
    return [
      outbound ? 'source' : 'destination',
      known(source?.name), known(source?.canonicalService), source ? source.canonicalRevision || 'latest' : 'unknown', known(sourceNamespace), known(sourcePrincipal),
      known(source?.canonicalService), known(source?.canonicalRevision), known(source?.cluster),
      known(destination?.name), known(destination?.namespace), known(destinationPrincipal), known(destination?.canonicalService), known(destination?.canonicalRevision), known(service?.host),
      known(destination?.canonicalService), destination ? destination.canonicalRevision || 'latest' : 'unknown', known(service?.name), known(service?.namespace), known(destination?.cluster),
      info.protocol, String(info.status), info.grpcStatus === undefined ? '' : String(info.grpcStatus), info.flags.length > 0 ? info.flags.join(',') : '-',
      outbound ? 'unknown' : info.mutualTls ? 'mutual_tls' : 'none',
    ];
  }
}

function known(value: string | undefined): string {
  return value || 'unknown';
}
