import type { HeaderMap } from '../stream/header-map.js';

const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds that the caller still waits: `grpc-timeout` (gRPC over HTTP/2) or Envoy's `x-envoy-expected-rq-timeout-ms`. */
export function expectedTimeoutMs(headers: HeaderMap): number | undefined {
  const timeout = headers.get('grpc-timeout');
  const grpc = timeout === undefined ? undefined : /^(\d{1,8})([HMSmun])$/.exec(timeout);
  const grpcMs = grpc ? Number(grpc[1]) * (units[grpc[2] as string] as number) : undefined;
  const envoy = headers.get('x-envoy-expected-rq-timeout-ms');
  const envoyMs = envoy !== undefined && /^\d{1,10}$/.test(envoy) ? Number(envoy) : undefined;
  if (grpcMs === undefined || envoyMs === undefined) return grpcMs ?? envoyMs;
  return Math.min(grpcMs, envoyMs);
}
