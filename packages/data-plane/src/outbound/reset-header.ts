import type { RetryPolicyConfig } from '../resource/route-config.js';
import type { HeaderMap } from '../stream/header-map.js';

/**
 * How long the response asks to be left alone (`Retry-After`, `X-RateLimit-Reset`, …), by the policy's list of headers: the first that is a number and
 * not above its maximum. Undefined: it does not say.
 * @param now milliseconds since the epoch.
 */
export function resetIntervalMs({ resetHeaders, maxMs }: NonNullable<RetryPolicyConfig['rateLimitedBackoff']>, headers: HeaderMap, now: number): number | undefined {
  for (const { name, format } of resetHeaders) {
    const text = headers.get(name)?.trim();
    if (text === undefined || !/^\d{1,15}$/.test(text)) continue;
    const seconds = format === 'seconds' ? Number(text) : Number(text) - Math.floor(now / 1000);
    if (seconds >= 0 && seconds * 1000 <= maxMs) return seconds * 1000;
  }
  return undefined;
}
