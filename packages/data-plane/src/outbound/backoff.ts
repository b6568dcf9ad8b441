/**
 * The wait before retry `retry` (1 for the first): uniform in [0, (2^retry − 1) · base), the bound never above `maxMs`.
 * Full jitter, as Envoy's router: callers that failed together do not come back together.
 */
export function retryDelay(retry: number, { baseMs, maxMs }: { readonly baseMs: number; readonly maxMs: number }, random: () => number): number {
  return random() * Math.min((2 ** retry - 1) * baseMs, maxMs);
}
