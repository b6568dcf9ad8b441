// What undici's errors mean to retry policies and outlier detection.
import type { UpstreamFailure } from '../stream/response-head.js';
import { endedConnectionOlderThan, UpstreamConnectError } from './connector.js';

const refusedStream = 7;
const protocolErrors = new Set(['UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'UND_ERR_RES_EXCEEDED_MAX_SIZE', 'ERR_HTTP2_PROTOCOL_ERROR']);
// The application's own mistake: the request cannot be written at all, so no host is to blame and no other attempt can help.
const callerErrors = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED', 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH', 'UND_ERR_INVALID_RETURN_VALUE']);

/** What is known of a request that failed without a response. */
export interface FailedRequest {
  readonly method: string;
  /** Whether undici had begun to write it to a connection. */
  readonly written: boolean;
  /** When it was given to the pool, performance.now(). */
  readonly dispatchedAt: number;
}

export function httpFailure(error: Error, request: FailedRequest): UpstreamFailure {
  const { message } = error;
  if (error instanceof UpstreamConnectError) return { kind: error.kind, message, cause: error.cause ?? error };
  const { code, http2ErrorCode } = error as { code?: unknown; http2ErrorCode?: unknown };
  if (http2ErrorCode === refusedStream) return { kind: 'refused-stream', message, cause: error };
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return { kind: 'per-try-timeout', message, cause: error };
  if (typeof code === 'string' && (code.startsWith('HPE_') || protocolErrors.has(code))) return { kind: 'protocol-error', message, cause: error };
  return { kind: request.written && !metClosingConnection(error, request) ? 'reset' : 'reset-before-request', message, cause: error };
}

/**
 * A server closes an idle connection while a request is on its way to it: the usual end of keep-alive, not a failure of the request.
 * That it was not processed cannot be known, so only for methods that may be repeated anyway (RFC 9110 §9.2.2).
 */
function metClosingConnection(error: Error, { method, dispatchedAt }: FailedRequest): boolean {
  return safeMethods.has(method) && endedConnectionOlderThan(error, dispatchedAt);
}

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

export function isCallerError(error: Error): boolean {
  return callerErrors.has(String((error as { code?: unknown }).code));
}
