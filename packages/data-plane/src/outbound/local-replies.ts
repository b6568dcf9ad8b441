// The answers the outbound engine gives itself, with Envoy's statuses, bodies, flags and details.
import { MeshError } from '../errors.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { ResponseFlag } from '../stream/response-flag.js';
import type { UpstreamFailure } from '../stream/response-head.js';

/** gRPC clients expect UNAVAILABLE here (gRFC A28), where Envoy's mapping of 404 would say UNIMPLEMENTED. */
export const routeNotFound: LocalReply = { status: 404, grpcStatus: 14, body: '', flag: 'NR', details: 'route_not_found' };

export function clusterNotFound(status: number, name: string, why?: Error): LocalReply {
  return { status, grpcStatus: 14, body: `no cluster ${name || '(unnamed)'}${why ? `: ${why.message}` : ''}`, flag: 'NC', details: 'cluster_not_found' };
}

export const responseTimeout: LocalReply = { status: 504, grpcStatus: 4, body: 'upstream request timeout', flag: 'UT', details: 'response_timeout' };
export const perTryTimeout: LocalReply = { status: 504, grpcStatus: 4, body: 'upstream request timeout', flag: 'UT', details: 'upstream_per_try_timeout' };
export const durationTimeout: LocalReply = { status: 504, grpcStatus: 4, body: 'stream timeout', flag: 'DT', details: 'max_duration_timeout' };

/** The inbound request for which this one was made is gone: nobody waits for the answer. */
export function callerGone(reason: unknown): LocalReply {
  return { status: 499, grpcStatus: 1, body: '', flag: 'DC', details: 'downstream_remote_disconnect', error: reason instanceof Error ? reason : new Error('the inbound request was cancelled') };
}

const resets: Record<Exclude<UpstreamFailure['kind'], 'per-try-timeout'>, { reason: string; flag: ResponseFlag; status: number }> = {
  'connect-failure': { reason: 'remote connection failure', flag: 'UF', status: 503 },
  identity: { reason: 'remote connection failure', flag: 'UF', status: 503 },
  'refused-stream': { reason: 'remote refused stream reset', flag: 'UR', status: 503 },
  'reset-before-request': { reason: 'connection termination', flag: 'UC', status: 503 },
  reset: { reason: 'connection termination', flag: 'UC', status: 503 },
  'protocol-error': { reason: 'protocol error', flag: 'UPE', status: 502 },
};

/** An attempt failed and no other is made. */
export function upstreamFailed(failure: UpstreamFailure, attempts: number): LocalReply {
  if (failure.kind === 'per-try-timeout') return perTryTimeout;
  const { reason, flag, status } = resets[failure.kind];
  const body = `upstream connect error or disconnect/reset before headers. ${attempts > 1 ? 'retried and the latest reset reason' : 'reset reason'}: ${reason}, transport failure reason: ${failure.message}`;
  return {
    status,
    grpcStatus: 14,
    body,
    flag,
    details: `upstream_reset_before_response_started{${reason.replaceAll(' ', '_')}}`,
    // A status could be taken for the service's own word; who the other side is must not be.
    ...(failure.kind === 'identity' && { error: failure.cause instanceof MeshError ? failure.cause : new MeshError('WEFT_PEER_IDENTITY', failure.message, { cause: failure.cause }) }),
  };
}
