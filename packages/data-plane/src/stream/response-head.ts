import type { HeaderMap } from './header-map.js';

export interface ResponseHead {
  status: number;
  headers: HeaderMap;
  /** Reads and removes a header without making `headers`, where the adapter makes them only for those who read them. */
  takeHeader?(name: string): string | undefined;
  /** The first value, in the same way. */
  readHeader?(name: string): string | undefined;
  /** gRPC: the status, where the head is also the end (trailers-only). */
  grpcStatus?: number;
}

/** How one request or attempt ended, once its last byte is through. */
export interface StreamEnd {
  /** gRPC status from the trailers. */
  grpcStatus?: number;
  bytesSent: number;
  bytesReceived: number;
}

/** Why an attempt ended without (or in the middle of) a response. The words are those retry policies use. */
export interface UpstreamFailure {
  kind:
    | 'connect-failure'
    /** HTTP/2 REFUSED_STREAM, or a gRPC transport that says the call never left. */
    | 'refused-stream'
    /** The connection ended before the request could be sent. */
    | 'reset-before-request'
    | 'reset'
    | 'per-try-timeout'
    | 'protocol-error'
    /** The endpoint's identity is missing or not the expected one; never retried on the same host, never plain text. */
    | 'identity';
  /** Of `per-try-timeout`: nothing arrived for as long as the attempt may be idle. */
  idle?: boolean;
  message: string;
  cause?: unknown;
}
