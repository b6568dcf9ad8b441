import type { ResponseFlag } from './response-flag.js';

/** An answer that the mesh itself gives instead of an upstream or a handler. One table maps it to HTTP and to gRPC. */
export interface LocalReply {
  status: number;
  /** Absent: mapped from the HTTP status as Envoy does (403 → 7, 401 → 16, 404 → 12, 429 and 502–504 → 14, else 2). */
  grpcStatus?: number;
  /** Plain text for the caller. */
  body: string | Uint8Array;
  headers?: readonly (readonly [string, string])[];
  flag?: ResponseFlag;
  /** Envoy's response code details (`route_not_found`, `rbac_access_denied_matched_policy[…]`). */
  details: string;
  /** It is the filter's own response: the route's edits of response headers are not made. */
  unedited?: true;
  /** Set where the caller should get an error with a reason rather than only a status: no configuration, no identity. */
  error?: Error;
}

/** Envoy's mapping from HTTP to gRPC status for local replies. It has none for 200: whoever answers a call must say its status. */
export function grpcStatusOf(reply: Pick<LocalReply, 'status' | 'grpcStatus'>): number {
  if (reply.grpcStatus !== undefined) return reply.grpcStatus;
  switch (reply.status) {
    case 400: return 13;
    case 401: return 16;
    case 403: return 7;
    case 404: return 12;
    case 429: case 502: case 503: case 504: return 14;
    default: return 2;
  }
}

/**
 * The answer to a gRPC request that came as plain HTTP (by its content type): only headers, as Envoy gives it. A status of gRPC's own
 * counts only where a filter chose it.
 */
export function asGrpcReply(reply: LocalReply, ownStatus: boolean, bodiless: boolean): LocalReply {
  const message = bodiless ? '' : typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body).toString();
  const status = (ownStatus ? reply.grpcStatus : undefined) ?? grpcStatusOf({ status: reply.status });
  return {
    ...reply,
    status: 200,
    body: '',
    headers: [['content-type', 'application/grpc'], ['grpc-status', String(status)], ...(message === '' ? [] : [['grpc-message', percentEncoded(message)] as const]), ...(reply.headers ?? [])],
  };
}

/** gRPC over HTTP/2: everything but printable ASCII, and the percent sign. */
function percentEncoded(text: string): string {
  return [...Buffer.from(text)].map((byte) => (byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)).join('');
}
