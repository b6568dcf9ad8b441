// What undici's errors mean to retry policies and outlier detection.
import type { UpstreamFailure } from '../stream/response-head.js';
import { UpstreamConnectError } from './connector.js';

const refusedStream = 7;
const protocolErrors = new Set(['UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'UND_ERR_RES_EXCEEDED_MAX_SIZE', 'ERR_HTTP2_PROTOCOL_ERROR']);
// The application's own mistake: the request cannot be written at all, so no host is to blame and no other attempt can help.
const callerErrors = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED', 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH', 'UND_ERR_INVALID_RETURN_VALUE']);

/**
 * @param written whether undici had begun to write the request to a connection. A kept one that has ended meanwhile it does not take:
 * it hears what is new of it first. An end that comes later is the server's answer to the request, as far as anybody can tell.
 */
export function httpFailure(error: Error, written: boolean): UpstreamFailure {
  const { message } = error;
  if (error instanceof UpstreamConnectError) return { kind: error.kind, message, cause: error.cause ?? error };
  const { code, http2ErrorCode } = error as { code?: unknown; http2ErrorCode?: unknown };
  if (http2ErrorCode === refusedStream) return { kind: 'refused-stream', message, cause: error };
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return { kind: 'per-try-timeout', message, cause: error };
  if (typeof code === 'string' && (code.startsWith('HPE_') || protocolErrors.has(code))) return { kind: 'protocol-error', message, cause: error };
  return { kind: written ? 'reset' : 'reset-before-request', message, cause: error };
}

export function isCallerError(error: Error): boolean {
  return callerErrors.has(String((error as { code?: unknown }).code));
}
