// How long a request may take: the route's numbers, what the caller asks for in headers, and deadlines that came from outside.
import type { ForwardActionConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';

export interface Timeouts {
  /** From the end of the request to the end of the response, retries included; 0 = none. */
  readonly routeMs: number;
  /** Of one attempt, from the end of the request; 0 = none. */
  readonly perTryMs: number;
  /** From the start of the request, however it was sent; Infinity = none. */
  readonly streamMs: number;
  /** Whether `streamMs` is a deadline of the caller and not the configuration's maximum stream duration. */
  readonly deadlineOfCaller: boolean;
  readonly idleMs: number;
}

export interface TimeoutInput {
  /** Milliseconds until the caller's own deadline. */
  remainingMs: number;
  /** The listener's (HCM); 0 = none. */
  listenerStreamMs: number;
  /** The listener's, for routes that have none; 0 = none. */
  listenerIdleMs: number;
}

const routeHeader = 'x-envoy-upstream-rq-timeout-ms';
const perTryHeader = 'x-envoy-upstream-rq-per-try-timeout-ms';

/** Reads and removes the caller's timeout headers, and tells the upstream how long we will wait (`x-envoy-expected-rq-timeout-ms`). */
export function timeoutsOf(action: ForwardActionConfig, perTryMs: number, perTryIdleMs: number, head: RequestHead, input: TimeoutInput): Timeouts {
  const routeMs = takeMilliseconds(head, routeHeader) ?? action.timeoutMs;
  let perTry = takeMilliseconds(head, perTryHeader) ?? perTryMs;
  // A per-try timeout that is not below the whole would only hide which of them fired.
  if (routeMs > 0 && perTry >= routeMs) perTry = 0;
  const duration = maxStreamDuration(action, head, input);
  const deadlineOfCaller = input.remainingMs <= duration;
  const streamMs = Math.min(duration, input.remainingMs);
  const expected = Math.min(perTry || Infinity, routeMs || Infinity, streamMs);
  if (expected !== Infinity && head.protocol === 'http') head.headers.set('x-envoy-expected-rq-timeout-ms', String(Math.max(0, Math.ceil(expected))));
  return { routeMs, perTryMs: perTry, streamMs, deadlineOfCaller, idleMs: smallest(perTryIdleMs, action.idleTimeoutMs ?? input.listenerIdleMs) };
}

/** `max_stream_duration` of the route, else of the listener; for gRPC with a deadline, `grpc_timeout_header_max` bounds the deadline instead. */
function maxStreamDuration(action: ForwardActionConfig, head: RequestHead, { remainingMs, listenerStreamMs }: TimeoutInput): number {
  const route = action.maxStreamDuration;
  if (!route) return listenerStreamMs || Infinity;
  if (route.grpcTimeoutHeaderMaxMs !== undefined && head.protocol === 'grpc' && remainingMs !== Infinity) {
    const bounded = Math.min(remainingMs, route.grpcTimeoutHeaderMaxMs || Infinity);
    // The offset answers a little before the caller gives up; it never turns into no time at all.
    const offset = route.grpcTimeoutHeaderOffsetMs ?? 0;
    return offset < bounded ? bounded - offset : bounded;
  }
  // gRPC without a deadline: the maximum that would have bounded it (gRFC A31).
  const max = head.protocol === 'grpc' ? (route.grpcTimeoutHeaderMaxMs ?? route.maxMs) : route.maxMs;
  return (max ?? listenerStreamMs) || Infinity;
}

function takeMilliseconds(head: RequestHead, name: string): number | undefined {
  const text = head.headers.get(name);
  if (text === undefined) return undefined;
  head.headers.remove(name);
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function smallest(a: number, b: number): number {
  return a > 0 && b > 0 ? Math.min(a, b) : a || b;
}
