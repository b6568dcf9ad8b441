// Short forms of configurations for tests.
import type { FilterRouteInfo } from '../filter/http-filter.js';
import { noRateLimits } from '../resource/rate-limit-config.js';
import { noMutations, type ForwardActionConfig, type HeaderMutationConfig, type RouteActionConfig, type RouteConfigurationConfig, type RouteEntryConfig, type RouteMatchConfig, type VirtualHostConfig } from '../resource/route-config.js';
import { HeaderMap, type HeaderInput } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';

export function requestHead(path = '/', headers: HeaderInput = {}, more: Partial<RequestHead> = {}): RequestHead {
  return { protocol: 'http', method: 'GET', scheme: 'http', authority: 'payments', path, headers: HeaderMap.from(headers), ...more };
}

export function streamInfo(more: Partial<StreamInfo> = {}): StreamInfo {
  return {
    direction: 'outbound', startTime: 0, protocol: 'http', method: 'GET', originalPath: '/', authority: 'payments', httpVersion: 'HTTP/1.1', routeName: '', clusterName: '',
    attempts: 0, flags: [], responseCodeDetails: '', status: 0, bytesSent: 0, bytesReceived: 0, upstreamAddress: '', downstreamRemoteAddress: '', downstreamLocalAddress: '',
    mutualTls: false, requestedServerName: '', ...more,
  };
}

export function forward(cluster: string | ForwardActionConfig['cluster'], more: Partial<ForwardActionConfig> = {}): RouteActionConfig {
  return {
    kind: 'route', cluster: typeof cluster === 'string' ? { kind: 'cluster', name: cluster } : cluster, clusterNotFoundStatus: 503, timeoutMs: 15_000, appendXForwardedHost: false,
    hashPolicies: [], mirrors: [], priority: 'default', ...more,
  };
}

export function prefix(value: string, caseSensitive = true): RouteMatchConfig['path'] {
  return { kind: 'prefix', value, caseSensitive };
}

export function match(path: RouteMatchConfig['path'] = prefix('/'), more: Partial<RouteMatchConfig> = {}): RouteMatchConfig {
  return { path, headers: [], queryParameters: [], grpc: false, ...more };
}

export function route(name: string, more: Partial<RouteEntryConfig> = {}): RouteEntryConfig {
  return { name, match: match(), action: forward(name), mutations: noMutations, filterOverrides: new Map(), metadata: {}, ...more };
}

export function virtualHost(domains: readonly string[], routes: readonly RouteEntryConfig[], more: Partial<VirtualHostConfig> = {}): VirtualHostConfig {
  return { name: domains[0] ?? '', domains, routes, mutations: noMutations, includeRequestAttemptCount: false, filterOverrides: new Map(), ...more };
}

export function routeConfiguration(virtualHosts: readonly VirtualHostConfig[], more: Partial<RouteConfigurationConfig> = {}): RouteConfigurationConfig {
  return {
    name: 'routes', virtualHosts, mutations: noMutations, mostSpecificHeaderMutationsWins: false, ignorePortInHostMatching: false, maxDirectResponseBodySize: 4096,
    filterOverrides: new Map(), ...more,
  };
}

export function edits(add: Partial<Record<string, string>>, remove: readonly string[] = [], action: HeaderMutationConfig['add'][number]['action'] = 'append-if-exists-or-add'): HeaderMutationConfig {
  return { add: Object.entries(add).map(([name, value = '']) => ({ name, value, action, keepEmpty: false })), remove };
}

/** For filters that are composed by hand: a route of which there is nothing to know. */
export function filterRoute<Override>(more: Partial<FilterRouteInfo<Override>> = {}): FilterRouteInfo<Override> {
  return { overrides: [], metadata: {}, rateLimits: noRateLimits, forwards: true, ...more };
}

/** A repeatable source of numbers in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
