// Istio's standard metrics, the access log and traces, for both sides (istio/proxy istio_stats.cc).
import { currentContext } from '../context/request-context.js';
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo, WorkloadInfo } from '../stream/stream-info.js';
import { accessLogEntry, type AccessLogSink } from './access-log.js';
import { IstioMetrics } from './istio-metrics.js';
import { encodePeerMetadata, peerMetadataHeader, peerMetadataIdHeader, PeerMetadataReader } from './peer-metadata.js';
import type { Stats } from './stats.js';
import type { OutgoingHeaders, Telemetry, TelemetryStream } from './telemetry.js';
import { readTraceContext, type RequestSpan, type TraceContext, type Tracing } from './tracing.js';

export interface IstioTelemetryOptions {
  stats: Stats;
  /** What this process is until the control plane says more (`describe`). */
  workload: WorkloadInfo;
  /** Our own SPIFFE ID, once there is one. */
  principal?: () => string | undefined;
  accessLog?: AccessLogSink | undefined;
  tracing?: Tracing | undefined;
  /** Distinct label sets per metric before they fold into one `overflow` series. Default 10000. */
  maxSeries?: number;
  /** Node ID, sent with the peer metadata. */
  nodeId?: string;
}

export class IstioTelemetry implements Telemetry {
  readonly stats: Stats;
  readonly #metrics: IstioMetrics;
  readonly #accessLog: AccessLogSink | undefined;
  readonly #tracing: Tracing | undefined;
  readonly #peers = new PeerMetadataReader();
  readonly #nodeId: string;
  #workload: WorkloadInfo;
  #peerMetadata: string;

  constructor(options: IstioTelemetryOptions) {
    this.stats = options.stats;
    this.#workload = options.workload;
    this.#peerMetadata = encodePeerMetadata(options.workload);
    this.#metrics = new IstioMetrics(options.stats, { principal: options.principal ?? (() => undefined), workload: () => this.#workload, maxSeries: options.maxSeries });
    this.#accessLog = options.accessLog;
    this.#tracing = options.tracing;
    this.#nodeId = options.nodeId ?? '';
  }

  describe(workload: WorkloadInfo): void {
    this.#workload = workload;
    this.#peerMetadata = encodePeerMetadata(workload);
    this.#metrics.forget();
  }

  start(info: StreamInfo, head: RequestHead): TelemetryStream | undefined {
    return info.direction === 'outbound' ? this.#startOutbound(info, head) : this.#startInbound(info, head);
  }

  connection(info: StreamInfo, read: () => void): () => void {
    const over = this.#metrics.connection(info, read);
    return () => {
      over();
      this.#accessLog?.(accessLogEntry(info, noHead, performance.now() - info.startTime, undefined));
    };
  }

  // Reads `headers` only where there is something to do: adapters make them on first use.
  responseHead(info: StreamInfo, stream: TelemetryStream | undefined, head: OutgoingHeaders): void {
    if (info.direction === 'outbound') {
      const header = takePeerMetadata(head);
      const claimed = header === undefined ? undefined : this.#peers.read(header);
      if (claimed) info.peerWorkload ??= claimed;
    } else if (stream instanceof InboundTelemetryStream && stream.exchangesMetadata) {
      setHeader(head, peerMetadataHeader, this.#peerMetadata);
      setHeader(head, peerMetadataIdHeader, this.#nodeId);
    }
  }

  end(info: StreamInfo, stream: TelemetryStream | undefined, head: RequestHead, response?: Pick<ResponseHead, 'headers'>): void {
    const durationMs = performance.now() - info.startTime;
    this.#metrics.record(info, durationMs);
    if (stream instanceof InboundTelemetryStream || stream instanceof SpanStream) stream.span?.end(info, durationMs);
    this.#accessLog?.(accessLogEntry(info, head, durationMs, response?.headers));
  }

  #startOutbound(info: StreamInfo, head: RequestHead): TelemetryStream | undefined {
    const { headers } = head;
    headers.set(peerMetadataHeader, this.#peerMetadata);
    headers.set(peerMetadataIdHeader, this.#nodeId);
    // A context that the application (or its instrumentation) wrote is the one that counts.
    if (headers.has('traceparent')) return undefined;
    const span = this.#tracing?.outbound(info);
    const context = span?.context ?? currentContext();
    if (context?.traceparent !== undefined) {
      headers.set('traceparent', context.traceparent);
      if (context.tracestate !== undefined) headers.set('tracestate', context.tracestate);
    }
    return span && new SpanStream(span);
  }

  #startInbound(info: StreamInfo, head: RequestHead): TelemetryStream {
    const id = head.headers.get(peerMetadataIdHeader);
    const header = takePeerMetadata(head);
    if (header !== undefined) {
      const workload = this.#peers.read(header, info.peer?.namespace);
      if (workload) info.peerWorkload = workload;
    }
    const parent = readTraceContext(head.headers);
    const span = this.#tracing?.inbound(info, parent);
    // Weft's own control plane has told its clients which workload each endpoint is: 400 bytes a response would say it again.
    const exchanges = header !== undefined && id?.startsWith(weftNodePrefix) !== true;
    if (!span && !parent) return exchanges ? exchanging : silent;
    return new InboundTelemetryStream(span?.context ?? parent, span, exchanges);
  }
}

const noHead = { headers: new HeaderMap() };

/** Of the node IDs that follow a Weft control plane; under another one they have its form. */
const weftNodePrefix = 'weft~';

function setHeader(head: OutgoingHeaders, name: string, value: string): void {
  if (head.setHeader) head.setHeader(name, value);
  else head.headers.set(name, value);
}

function takePeerMetadata(head: Pick<ResponseHead, 'headers' | 'takeHeader'>): string | undefined {
  if (head.takeHeader) {
    head.takeHeader(peerMetadataIdHeader);
    return head.takeHeader(peerMetadataHeader);
  }
  const { headers } = head;
  const header = headers.get(peerMetadataHeader);
  if (header !== undefined) headers.remove(peerMetadataHeader);
  headers.remove(peerMetadataIdHeader);
  return header;
}

class SpanStream implements TelemetryStream {
  readonly span: RequestSpan;

  constructor(span: RequestSpan) {
    this.span = span;
  }

  run<T>(fn: () => T): T {
    return this.span.run(fn);
  }
}

class InboundTelemetryStream implements TelemetryStream {
  readonly span: RequestSpan | undefined;
  readonly trace: TraceContext | undefined;
  /** The peer sent its metadata, and has no other way to know ours. */
  readonly exchangesMetadata: boolean;

  constructor(trace: TraceContext | undefined, span: RequestSpan | undefined, exchangesMetadata: boolean) {
    this.trace = trace;
    this.span = span;
    this.exchangesMetadata = exchangesMetadata;
  }

  run<T>(fn: () => T): T {
    return this.span ? this.span.run(fn) : fn();
  }
}

// Without a trace, which is most often: nothing in them is of one request.
const silent = new InboundTelemetryStream(undefined, undefined, false);
const exchanging = new InboundTelemetryStream(undefined, undefined, true);
