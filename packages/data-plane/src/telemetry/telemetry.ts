// The seam of metrics, access logs and traces: both engines call it once at the start and once at the end of a request.
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo, WorkloadInfo } from '../stream/stream-info.js';

export interface Telemetry {
  /**
   * A connection that carries bytes is there (or could not be made: then it ends at once). `read` brings its byte counts up to date.
   * Returns its end.
   */
  connection?(info: StreamInfo, read: () => void): () => void;
  /**
   * A request starts. Outbound: writes trace context into the head (W3C `traceparent`, from the inbound request that is
   * being handled) and starts a client span where @opentelemetry/api has a provider. Inbound: reads it and starts a server
   * span. Returns what `end` needs; undefined costs nothing.
   */
  start(info: StreamInfo, head: RequestHead): TelemetryStream | undefined;
  /**
   * The head of a response that is about to go on (to the application outbound, to the peer inbound). Peer metadata is taken
   * from it, or written into it where the peer sent its own.
   */
  responseHead?(info: StreamInfo, stream: TelemetryStream | undefined, head: OutgoingHeaders): void;
  /** The control plane said which workload this process is. */
  describe?(workload: WorkloadInfo): void;
  /** Once per request: Istio's counter and histogram, the access log line, the span's end. */
  end(info: StreamInfo, stream: TelemetryStream | undefined, head: RequestHead, response?: Pick<ResponseHead, 'headers'>): void;
}

/** Headers of a response that are about to leave. */
export interface OutgoingHeaders extends Pick<ResponseHead, 'headers' | 'takeHeader'> {
  /** Replaces one header without making `headers`, where the adapter makes them only for those who read them. */
  setHeader?(name: string, value: string): void;
}

export interface TelemetryStream {
  /** Runs the application's handler (or the inner dispatch) inside the request's span, where there is one. */
  run<T>(fn: () => T): T;
  /** Absent where no span is made: then `run` does nothing more than calling. */
  readonly span?: { run<T>(fn: () => T): T } | undefined;
  /** Inbound: what outbound requests of the handler shall carry on. */
  readonly trace?: { readonly traceparent: string; readonly tracestate?: string } | undefined;
}
