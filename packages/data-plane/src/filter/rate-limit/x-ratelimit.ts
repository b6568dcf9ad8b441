// x-ratelimit headers of draft version 3: what a rate limit service said of the descriptor that is nearest to its limit.
import { RateLimitResponse_RateLimit_Unit as Unit, type RateLimitResponse_DescriptorStatus } from '@weft/xds-api/filter-rate-limit';

const seconds: Readonly<Record<number, number>> = { [Unit.SECOND]: 1, [Unit.MINUTE]: 60, [Unit.HOUR]: 3600, [Unit.DAY]: 86_400, [Unit.MONTH]: 2_592_000, [Unit.YEAR]: 31_536_000 };

export function rateLimitHeaders(statuses: readonly RateLimitResponse_DescriptorStatus[]): (readonly [string, string])[] {
  const limited = statuses.filter(({ currentLimit }) => currentLimit !== undefined);
  let nearest = limited[0];
  if (!nearest) return [];
  for (const status of limited) if (status.limitRemaining < nearest.limitRemaining) nearest = status;
  const policies = limited.map(({ currentLimit }) => {
    const window = seconds[currentLimit!.unit] ?? 0;
    return window === 0 ? '' : `, ${currentLimit!.requestsPerUnit};w=${window}${currentLimit!.name === '' ? '' : `;name="${currentLimit!.name}"`}`;
  });
  return [
    ['x-ratelimit-limit', `${nearest.currentLimit!.requestsPerUnit}${policies.join('')}`],
    ['x-ratelimit-remaining', String(nearest.limitRemaining)],
    ['x-ratelimit-reset', String(nearest.durationUntilReset?.seconds ?? 0n)],
  ];
}
