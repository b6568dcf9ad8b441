// What an inbound request says of its caller, read before the headers that say so are stripped.
import type { HeaderMap } from '../stream/header-map.js';

const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

export interface CallerHints {
  /** Milliseconds that the caller still waits: the smaller of `grpc-timeout` (gRPC over HTTP/2) and Envoy's `x-envoy-expected-rq-timeout-ms`. */
  timeoutMs: number | undefined;
  /** The request is a retry: `x-envoy-attempt-count` above 1, or `grpc-previous-rpc-attempts`. */
  retry: boolean;
}

/** One pass, by the lengths of the names: most requests have none of them. */
export function callerHints({ raw }: HeaderMap): CallerHints {
  let timeoutMs: number | undefined;
  let retry = false;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    switch (name.length) {
      case 12: if (name === 'grpc-timeout') timeoutMs = least(timeoutMs, grpcTimeoutMs(value)); break;
      case 30: if (name === 'x-envoy-expected-rq-timeout-ms' && /^\d{1,10}$/.test(value)) timeoutMs = least(timeoutMs, Number(value)); break;
      case 21: if (name === 'x-envoy-attempt-count') retry ||= Number(value) > 1; break;
      case 26: if (name === 'grpc-previous-rpc-attempts') retry ||= Number(value) > 0;
    }
  }
  return { timeoutMs, retry };
}

function grpcTimeoutMs(value: string): number | undefined {
  const parts = /^(\d{1,8})([HMSmun])$/.exec(value);
  return parts ? Number(parts[1]) * (units[parts[2] as string] as number) : undefined;
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
