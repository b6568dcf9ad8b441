// Breakers that an application asks for in code: the same filters as from a configuration, with one breaker a cluster.
import type { HttpFilterConfig } from '../../resource/listener-config.js';
import type { HttpFilterFactory } from '../http-filter.js';

export interface AdaptiveBreakerOptions {
  /** The 99th percentile of latency shall stay below, milliseconds. Four times that of the service when nobody waits, or more, is a good choice. */
  thresholdMs: number;
  /** Requests that may always run at a time. Default 1. */
  minConcurrency?: number;
  /** Default 10 000. */
  maxConcurrency?: number;
}

export interface ErrorRateBreakerOptions {
  /** Share of failures above which it opens, in percent. Default 50. */
  errorThresholdPercent?: number;
  /** Below so many requests in the window it never opens. Default 20. */
  volumeThreshold?: number;
  /** Default 10 000. */
  rollingWindowMs?: number;
  /** How long it is open before one request is let through to see, milliseconds. Default 30 000. */
  resetTimeoutMs?: number;
  /** One breaker for each cluster (default), or for each route of one. */
  scope?: 'cluster' | 'route';
}

export interface BreakerOptions {
  /** opossum's breaker: opens when too large a share of the last requests failed. */
  errorRate?: ErrorRateBreakerOptions;
  /** Lets fewer requests through where more would all be late. */
  adaptive?: AdaptiveBreakerOptions;
}

const kinds = {
  errorRate: { name: 'weft.filters.http.error_rate_breaker', typeUrl: 'type.googleapis.com/weft.filters.http.v1.ErrorRateBreaker' },
  adaptive: { name: 'weft.filters.http.adaptive_breaker', typeUrl: 'type.googleapis.com/weft.filters.http.v1.AdaptiveBreaker' },
} as const;

/** @param find the filter that reads a type. */
export function breakerFilters(options: BreakerOptions, find: (typeUrl: string) => HttpFilterFactory | undefined): HttpFilterConfig[] {
  return (['errorRate', 'adaptive'] as const).flatMap((kind) => {
    const config = options[kind];
    const { name, typeUrl } = kinds[kind];
    const factory = config && find(typeUrl);
    return factory ? [Object.freeze({ name, factory, config, disabled: false })] : [];
  });
}
