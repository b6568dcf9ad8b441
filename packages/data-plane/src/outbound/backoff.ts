/**
 * The wait before retry `retry` (1 for the first): whole milliseconds, uniform below base · 2^(retry − 1), the bound never above `maxMs`. Full jitter, as Envoy's router
 * (source/common/common/backoff_strategy.cc; its documentation says 2^N − 1, Envoy 1.40 doubles): callers that failed together do not come back together.
 */
export function retryDelay(retry: number, { baseMs, maxMs }: { readonly baseMs: number; readonly maxMs: number }, random: () => number): number {
  return Math.floor(random() * Math.min(baseMs * 2 ** (retry - 1), maxMs));
}

/** The wait that a server asked for, and up to half of it more: those it sent away together do not come back together (Envoy's JitteredLowerBoundBackOffStrategy). */
export function askedDelay(ms: number, random: () => number): number {
  return ms + Math.floor(random() * Math.floor(ms / 2));
}
