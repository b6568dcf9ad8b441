// What filters may know of a route. Of every route that only forwards, without overrides, metadata and rate limits, it is the same object.
import { noRateLimits, type RouteRateLimits } from '../resource/rate-limit-config.js';

export interface RouteFilterInfo {
  /** Overrides of one filter at every level that has one, the least specific first. */
  readonly overrides: (filterName: string) => readonly unknown[];
  readonly metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly rateLimits: RouteRateLimits;
  /** Whether requests go on to a cluster or handler: not those of redirects and direct responses. */
  readonly forwards: boolean;
}

export const plainRouteInfo: RouteFilterInfo = Object.freeze({ overrides: () => [], metadata: Object.freeze({}), rateLimits: noRateLimits, forwards: true });
