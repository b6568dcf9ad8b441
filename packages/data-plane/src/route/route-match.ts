import type { FractionConfig } from '../resource/matcher-config.js';
import type { RouteMatchConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { compileHeaderMatcher } from './header-matcher.js';
import { compilePathMatcher } from './path-matcher.js';
import { compileQueryMatcher } from './query-matcher.js';
import { isGrpc } from './request-header.js';

/** `path` is `head.path` without query and fragment, cut once for all routes. */
export type RouteMatch = (path: string, head: RequestHead, info: StreamInfo) => boolean;

/** RouteMatch: all conditions must hold. Throws where one is invalid. */
export function compileRouteMatch(config: RouteMatchConfig, random: () => number): RouteMatch {
  const path = compilePathMatcher(config.path);
  const conditions: ((head: RequestHead, info: StreamInfo) => boolean)[] = [];
  const { tlsPresented, runtimeFraction } = config;
  if (config.grpc) conditions.push(isGrpc);
  conditions.push(...config.headers.map(compileHeaderMatcher));
  for (const parameter of config.queryParameters) {
    const test = compileQueryMatcher(parameter);
    conditions.push((head) => test(head.path));
  }
  if (tlsPresented !== undefined) conditions.push((_head, info) => info.mutualTls === tlsPresented);
  // Last: no random number is drawn for requests that do not match anyway.
  if (runtimeFraction) conditions.push(compileFraction(runtimeFraction, random));
  if (conditions.length === 0) return path;
  return (plain, head, info) => path(plain) && conditions.every((condition) => condition(head, info));
}

/** True for `numerator` of `denominator` draws. */
export function compileFraction({ numerator, denominator }: FractionConfig, random: () => number): () => boolean {
  return () => Math.floor(random() * denominator) < numerator;
}
