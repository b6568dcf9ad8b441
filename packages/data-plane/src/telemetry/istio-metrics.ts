// istio_requests_total and its histograms. A series is found once per edge (who to whom, and how it ended) and held.
import type { StreamInfo, WorkloadInfo } from '../stream/stream-info.js';
import type { Counter, Family, Histogram, Stats } from './stats.js';
import { TcpMetrics } from './tcp-metrics.js';

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

/** Who to whom: everything that labels are made of, but how a request ended. */
interface Edge {
  readonly direction: StreamInfo['direction'];
  readonly protocol: StreamInfo['protocol'];
  readonly mutualTls: boolean;
  readonly destination: StreamInfo['destination'];
  readonly principal: string | undefined;
  readonly own: string | undefined;
  readonly outcomes: Map<number | string, Series>;
}

/** Connections have no status. */
const tcpLabels = istioLabels.filter((label) => label !== 'response_code' && label !== 'grpc_response_status');

const heldSeries = 10_000;

export class IstioMetrics {
  readonly #options: IstioMetricsOptions;
  readonly #requests: Family<Counter>;
  readonly #duration: Family<Histogram>;
  readonly #requestBytes: Family<Histogram>;
  readonly #responseBytes: Family<Histogram>;
  // By the peer's workload, which is one object for all its requests; by its principal where it did not say.
  readonly #edges = new Map<WorkloadInfo | string, Edge[]>();
  readonly #stats: Stats;
  #tcp: TcpMetrics | undefined;
  #held = 0;

  constructor(stats: Stats, options: IstioMetricsOptions) {
    this.#options = options;
    this.#stats = stats;
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

  /** A connection that carries bytes. @returns it is over. */
  connection(info: StreamInfo, read: () => void): () => void {
    this.#tcp ??= new TcpMetrics(this.#stats, { labels: tcpLabels, labelsOf: (of) => this.#tcpLabelsOf(of), maxSeries: this.#options.maxSeries });
    return this.#tcp.open(info, read);
  }

  #tcpLabelsOf(info: StreamInfo): string[] {
    const labels = this.#labels(info, info.direction === 'outbound' ? info.upstreamSpiffeId : info.peer?.spiffeId, this.#options.principal());
    return labels.filter((_, i) => istioLabels[i] !== 'response_code' && istioLabels[i] !== 'grpc_response_status');
  }

  /** Our own labels changed. */
  forget(): void {
    this.#edges.clear();
    this.#held = 0;
  }

  #series(info: StreamInfo): Series {
    const principal = info.direction === 'outbound' ? info.upstreamSpiffeId : info.peer?.spiffeId;
    const own = this.#options.principal();
    const edge = this.#edge(info, principal, own);
    const outcome = outcomeOf(info);
    const held = edge.outcomes.get(outcome);
    if (held) return held;
    const labels = this.#labels(info, principal, own);
    const series = {
      requests: this.#requests.series(...labels),
      duration: this.#duration.series(...labels),
      requestBytes: this.#requestBytes.series(...labels),
      responseBytes: this.#responseBytes.series(...labels),
    };
    edge.outcomes.set(outcome, series);
    this.#held++;
    return series;
  }

  #edge(info: StreamInfo, principal: string | undefined, own: string | undefined): Edge {
    const key = info.peerWorkload ?? principal ?? '';
    const { direction, protocol, mutualTls, destination } = info;
    // Peers can vary what edges and outcomes are made of.
    if (this.#held >= heldSeries) this.forget();
    let edges = this.#edges.get(key);
    if (!edges) this.#edges.set(key, (edges = []));
    for (const edge of edges) {
      if (edge.destination === destination && edge.direction === direction && edge.protocol === protocol && edge.mutualTls === mutualTls && edge.principal === principal && edge.own === own) return edge;
    }
    const edge: Edge = { direction, protocol, mutualTls, destination, principal, own, outcomes: new Map() };
    edges.push(edge);
    return edge;
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

/** A number where it says everything: most requests end without flags, and building a text for each costs more than all of the rest. */
function outcomeOf({ status, grpcStatus, flags }: StreamInfo): number | string {
  if (flags.length > 0) return `${status}|${grpcStatus ?? ''}|${flags.join()}`;
  if (grpcStatus === undefined) return status;
  // What a peer says its status is may be any number.
  return grpcStatus >= 0 && grpcStatus < 1000 ? 1000 * (grpcStatus + 1) + status : `${status}|${grpcStatus}|`;
}

function known(value: string | undefined): string {
  return value || 'unknown';
}
