// How long a request may take: the route's numbers, what the caller asks for in headers, and deadlines that came from outside.
// Envoy's FilterUtility::finalTimeout (source/common/router/router.cc) and refreshDurationTimeout (source/common/http/conn_manager_impl.cc).
import type { ForwardActionConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import { take, takeNumber } from './control-headers.js';

export interface Timeouts {
  /** From the end of the request to the end of the response, retries included; 0 = none. */
  readonly routeMs: number;
  /** Of one attempt, from the end of the request; 0 = none. */
  readonly perTryMs: number;
  /** Of one attempt without a byte; 0 = none. */
  readonly perTryIdleMs: number;
  /** Of the request without a byte in either direction; 0 = none. */
  readonly idleMs: number;
  /** From the start of the request, however it was sent; Infinity = none. */
  readonly streamMs: number;
  /** Whether `streamMs` is a deadline of the caller and not the configuration's maximum stream duration. */
  readonly deadlineOfCaller: boolean;
  /** A per-try timeout starts another attempt beside the late one. */
  readonly hedge: boolean;
  /** Out of time is 204 instead of 504 (x-envoy-upstream-rq-timeout-alt-response). */
  readonly alternativeStatus: boolean;
}

export interface TimeoutInput {
  perTryMs: number | undefined;
  perTryIdleMs: number | undefined;
  /** The route's or virtual host's. */
  hedge: boolean;
  /** Whether the head has `x-envoy-*` headers at all. */
  steered: boolean;
  /** Milliseconds until the caller's own deadline. */
  remainingMs: number;
  /** The listener's (HCM); 0 = none. */
  listenerStreamMs: number;
  /** The listener's, for routes that have none; 0 = none. */
  listenerIdleMs: number;
  /** The router's `respect_expected_rq_timeout`. */
  respectExpected: boolean;
}

const expectedHeader = 'x-envoy-expected-rq-timeout-ms';

/** Takes the caller's timeout headers out of the head. */
export function timeoutsOf(action: ForwardActionConfig, head: RequestHead, input: TimeoutInput): Timeouts {
  const { headers } = head;
  let routeMs = configuredMs(action, head, input.remainingMs);
  let perTryMs = input.perTryMs ?? 0;
  let { hedge } = input;
  let alternativeStatus = false;
  if (input.steered) {
    routeMs = askedMs(head, input.respectExpected) ?? routeMs;
    perTryMs = takeNumber(headers, 'x-envoy-upstream-rq-per-try-timeout-ms') ?? perTryMs;
    alternativeStatus = take(headers, 'x-envoy-upstream-rq-timeout-alt-response') !== undefined;
    const asked = take(headers, 'x-envoy-hedge-on-per-try-timeout');
    if (asked === 'true' || asked === 'false') hedge = asked === 'true';
  }
  // A per-try timeout that is not below the whole would only hide which of them fired.
  if (routeMs > 0 && perTryMs >= routeMs) perTryMs = 0;
  const duration = maxStreamDuration(action, head, input);
  return {
    routeMs, perTryMs, perTryIdleMs: input.perTryIdleMs ?? 0, idleMs: action.idleTimeoutMs ?? input.listenerIdleMs,
    streamMs: Math.min(duration, input.remainingMs), deadlineOfCaller: input.remainingMs <= duration, hedge, alternativeStatus,
  };
}

/** Says to the host how long we wait for this attempt; of a caller's deadline gRPC's own header tells. */
export function announceTimeout(head: RequestHead, { routeMs, perTryMs, hedge }: Timeouts, elapsedMs: number, remainingMs: number): void {
  // With hedging, the late attempt has the whole time.
  let expected = hedge || perTryMs === 0 ? routeMs : perTryMs;
  // 0 would mean no limit.
  if (expected > 0 && routeMs > 0) expected = Math.max(1, Math.min(expected, routeMs - elapsedMs));
  if (head.protocol === 'http' && remainingMs !== Infinity) expected = Math.max(1, Math.min(expected || Infinity, remainingMs));
  if (expected > 0) head.headers.set(expectedHeader, String(Math.ceil(expected)));
}

/** A route with a maximum stream duration has no other timeout, unless the caller asks for one. */
function configuredMs(action: ForwardActionConfig, { protocol }: RequestHead, remainingMs: number): number {
  if (action.maxStreamDuration) return 0;
  const { maxGrpcTimeoutMs: max, grpcTimeoutOffsetMs: offset = 0 } = action;
  if (protocol !== 'grpc' || max === undefined) return action.timeoutMs;
  let asked = remainingMs === Infinity ? 0 : remainingMs;
  // The offset answers a little before the caller gives up; it never turns into no limit.
  if (offset < asked) asked -= offset;
  if (max > 0 && (asked === 0 || asked > max)) return max;
  // The deadline as it came needs no second timer, and its host no second header.
  return asked === remainingMs ? 0 : asked;
}

function askedMs({ headers }: RequestHead, respectExpected: boolean): number | undefined {
  if (!respectExpected || !headers.has(expectedHeader)) return takeNumber(headers, 'x-envoy-upstream-rq-timeout-ms');
  const text = headers.get(expectedHeader) as string;
  return /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : undefined;
}

/** `max_stream_duration` of the route, else of the listener; for gRPC with a deadline, `grpc_timeout_header_max` bounds the deadline instead. */
function maxStreamDuration(action: ForwardActionConfig, head: RequestHead, { remainingMs, listenerStreamMs }: TimeoutInput): number {
  const route = action.maxStreamDuration;
  if (!route) return listenerStreamMs || Infinity;
  if (route.grpcTimeoutHeaderMaxMs !== undefined && head.protocol === 'grpc' && remainingMs !== Infinity) {
    const bounded = Math.min(remainingMs, route.grpcTimeoutHeaderMaxMs || Infinity);
    return Math.max(0, bounded - (route.grpcTimeoutHeaderOffsetMs ?? 0));
  }
  // gRPC without a deadline: the maximum that would have bounded it (gRFC A31).
  const max = head.protocol === 'grpc' ? (route.grpcTimeoutHeaderMaxMs ?? route.maxMs) : route.maxMs;
  return (max ?? listenerStreamMs) || Infinity;
}
