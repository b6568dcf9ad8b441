// How long a listener lets a request take: max_stream_duration, request_timeout and stream_idle_timeout of the connection manager, with Envoy's
// answers (source/common/http/conn_manager_impl.cc). Requests of listeners without any have no timer.
import type { LocalReply } from '../stream/local-reply.js';
import type { InboundProgress } from './inbound-port.js';

export interface InboundLimitsConfig {
  maxStreamDurationMs?: number;
  requestTimeoutMs?: number;
  streamIdleTimeoutMs?: number;
}

export interface LimitedStream {
  readonly progress: InboundProgress | undefined;
  expire(reply: LocalReply): void;
}

type SetTimeout = (run: () => void, ms: number) => { cancel(): void };

/** Bytes are looked at so often in an idle timeout, instead of a timer that every byte restarts. */
const looks = 4;

export class InboundLimits {
  readonly #stream: LimitedStream;
  readonly #setTimeout: SetTimeout;
  readonly #duration: { cancel(): void } | undefined;
  readonly #request: { cancel(): void } | undefined;
  #idle: { cancel(): void } | undefined;

  /** Undefined where nothing is limited. */
  static start({ maxStreamDurationMs = 0, requestTimeoutMs = 0, streamIdleTimeoutMs = 0 }: InboundLimitsConfig, stream: LimitedStream, setTimeout: SetTimeout): InboundLimits | undefined {
    return maxStreamDurationMs + requestTimeoutMs + streamIdleTimeoutMs > 0 ? new InboundLimits(maxStreamDurationMs, requestTimeoutMs, streamIdleTimeoutMs, stream, setTimeout) : undefined;
  }

  private constructor(durationMs: number, requestMs: number, idleMs: number, stream: LimitedStream, setTimeout: SetTimeout) {
    this.#stream = stream;
    this.#setTimeout = setTimeout;
    if (durationMs > 0) this.#duration = setTimeout(() => stream.expire({ ...lateReply(stream, 'downstream duration timeout', 'max_duration_timeout'), grpcStatus: 4 }), durationMs);
    if (requestMs > 0) this.#request = setTimeout(() => this.#requestLate(), requestMs);
    if (idleMs > 0) this.#look(idleMs, stream.progress?.bytes ?? 0, 0);
  }

  /** The answer begins: whatever of the request is still to come is no longer waited for. */
  answered(): void {
    this.#request?.cancel();
  }

  close(): void {
    this.#duration?.cancel();
    this.#request?.cancel();
    this.#idle?.cancel();
  }

  #requestLate(): void {
    if (!this.#stream.progress?.requestComplete) this.#stream.expire({ status: 408, body: 'request timeout', details: 'request_overall_timeout' });
  }

  #look(idleMs: number, bytes: number, still: number): void {
    this.#idle = this.#setTimeout(() => {
      const now = this.#stream.progress?.bytes ?? 0;
      const times = now === bytes ? still + 1 : 0;
      if (times < looks) this.#look(idleMs, now, times);
      else this.#stream.expire({ ...lateReply(this.#stream, 'stream timeout', 'stream_idle_timeout'), flag: 'SI' });
    }, idleMs / looks);
  }
}

/** Whose fault it is: the caller's, who has not sent everything, or the handler's. */
function lateReply({ progress }: LimitedStream, body: string, details: string): LocalReply {
  return { status: progress?.requestComplete ? 504 : 408, body, details };
}
