// The answers the outbound engine gives itself, with Envoy's statuses, bodies, flags and details.
import { MeshError } from '../errors.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { ResponseFlag } from '../stream/response-flag.js';
import type { UpstreamFailure } from '../stream/response-head.js';
import type { Timeouts } from './timeouts.js';

/** gRPC clients expect UNAVAILABLE here (gRFC A28), where Envoy's mapping of 404 would say UNIMPLEMENTED. */
export const routeNotFound: LocalReply = { status: 404, grpcStatus: 14, body: '', flag: 'NR', details: 'route_not_found' };

export function clusterNotFound(status: number, name: string, why?: Error): LocalReply {
  return { status, grpcStatus: 14, body: `no cluster ${name || '(unnamed)'}${why ? `: ${why.message}` : ''}`, flag: 'NC', details: 'cluster_not_found' };
}

const timedOut = { status: 504, body: 'upstream request timeout', flag: 'UT' } as const;

/** gRPC: UNAVAILABLE, as from Envoy; DEADLINE_EXCEEDED is said of the caller's own deadline. */
export const responseTimeout: LocalReply = { ...timedOut, details: 'response_timeout' };
const perTryTimeout: LocalReply = { ...timedOut, details: 'upstream_per_try_timeout' };
const perTryIdleTimeout: LocalReply = { ...timedOut, details: 'upstream_per_try_idle_timeout' };
export const deadlineExceeded: LocalReply = { ...timedOut, grpcStatus: 4, details: 'response_timeout' };

/** For callers that asked for it (x-envoy-upstream-rq-timeout-alt-response). */
export function alternative(reply: LocalReply): LocalReply {
  return { ...reply, status: 204, body: '' };
}

/** Whose fault it is depends on who was to send next. */
export function durationTimeout(requestDone: boolean): LocalReply {
  return { status: requestDone ? 504 : 408, grpcStatus: 4, body: 'downstream duration timeout', details: 'max_duration_timeout' };
}

/** A name for what was idle too long, once the caller has the head. */
export function idleAfterHead({ perTryIdleMs, idleMs }: Pick<Timeouts, 'perTryIdleMs' | 'idleMs'>): LocalReply {
  return perTryIdleMs > 0 && (idleMs === 0 || perTryIdleMs < idleMs) ? perTryIdleTimeout : idleTimeout(true);
}

export function idleTimeout(requestDone: boolean): LocalReply {
  return { status: requestDone ? 504 : 408, body: 'stream timeout', flag: 'SI', details: 'stream_idle_timeout' };
}

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
export function upstreamFailed(failure: UpstreamFailure, attempts: number, alternativeStatus = false): LocalReply {
  if (failure.kind === 'per-try-timeout') {
    const reply = failure.idle === true ? perTryIdleTimeout : perTryTimeout;
    return alternativeStatus ? alternative(reply) : reply;
  }
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
