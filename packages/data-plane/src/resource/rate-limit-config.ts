// envoy.config.route.v3.RateLimit, decoded: how a request is described to a rate limiter.
import type { HeaderMatcherConfig, QueryParameterMatcherConfig } from './matcher-config.js';

export interface RateLimitConfig {
  /** 0 to 10: which filters use it. */
  stage: number;
  disableKey: string;
  /** One entry of the descriptor each. One that does not apply drops the whole descriptor. */
  actions: readonly RateLimitActionConfig[];
  /** Overrides the limit: dynamic metadata of the form `{requests_per_unit, unit}`, or fixed. */
  limit?: MetadataKeyConfig | FixedLimitConfig;
  /** How much a request counts; a text with formatters, or a number. Only of a filter's own. */
  hits?: { value: number | string; negative: boolean };
  /** Counts when the request is over, whose answer nothing waits for. Only of a filter's own. */
  onStreamDone?: boolean;
}

export interface FixedLimitConfig {
  requestsPerUnit: number;
  unit: string;
}

export interface MetadataKeyConfig {
  key: string;
  path: readonly string[];
}

export type RateLimitActionConfig =
  | { kind: 'source-cluster' }
  | { kind: 'destination-cluster' }
  | { kind: 'request-header'; header: string; key: string; skipIfAbsent: boolean }
  | { kind: 'remote-address' }
  | { kind: 'masked-remote-address'; v4: number; v6: number }
  | { kind: 'generic-key'; key: string; value: string }
  | { kind: 'query-parameter'; name: string; key: string; skipIfAbsent: boolean }
  | { kind: 'header-value-match'; key: string; value: string; expect: boolean; headers: readonly HeaderMatcherConfig[] }
  | { kind: 'query-parameter-value-match'; key: string; value: string; expect: boolean; parameters: readonly QueryParameterMatcherConfig[] }
  | { kind: 'metadata'; key: string; from: 'dynamic' | 'route'; metadata: MetadataKeyConfig; default: string; skipIfAbsent: boolean };

/** `rate_limits` of a route and its virtual host. */
export interface RouteRateLimits {
  route: readonly RateLimitConfig[];
  virtualHost: readonly RateLimitConfig[];
  /** include_vh_rate_limits */
  includeVirtualHost: boolean;
}

export const noRateLimits: RouteRateLimits = Object.freeze({ route: Object.freeze([]), virtualHost: Object.freeze([]), includeVirtualHost: false });
