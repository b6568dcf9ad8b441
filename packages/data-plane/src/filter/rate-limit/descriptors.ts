// How a request is described to a rate limiter: `rate_limits` of routes and filters, compiled.
import { isIP } from 'node:net';
import { metadataAt } from '../dynamic-metadata.js';
import type { FixedLimitConfig, MetadataKeyConfig, RateLimitActionConfig, RateLimitConfig, RouteRateLimits } from '../../resource/rate-limit-config.js';
import { compileHeaderMatcher } from '../../route/header-matcher.js';
import { compileFormatter } from '../../route/formatter.js';
import { compileQueryMatcher, queryParameter } from '../../route/query-matcher.js';
import { requestHeader } from '../../route/request-header.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';

export interface DescriptorEntry {
  readonly key: string;
  readonly value: string;
}

export interface Descriptor {
  readonly entries: readonly DescriptorEntry[];
  readonly limit?: FixedLimitConfig;
  /** How much the request counts; absent: 1. */
  readonly hits?: number;
  /** The hits are given back. */
  readonly negative?: boolean;
}

/** `false`: the whole descriptor is dropped. `undefined`: without this entry. */
type Action = (head: RequestHead, info: StreamInfo) => DescriptorEntry | undefined | false;
export type DescribeRequest = (head: RequestHead, info: StreamInfo) => Descriptor[];

export interface DescriptorContext {
  /** A filter's own limits are all of its stage. */
  readonly stage: number | 'any';
  readonly localCluster: string;
  readonly routeMetadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** What of a virtual host's limits counts beside the route's own. */
export type VirtualHostRateLimits = 'override' | 'include' | 'ignore';

/** `undefined` where nothing of the stage is configured. */
export function compileDescriptors(limits: readonly RateLimitConfig[], context: DescriptorContext, when: 'before' | 'done' = 'before'): DescribeRequest | undefined {
  // There is no runtime layer by which a limit could be switched off, so disable_key changes nothing.
  const compiled = limits.filter(({ stage, onStreamDone = false }) => (context.stage === 'any' || stage === context.stage) && onStreamDone === (when === 'done')).map((limit) => compileLimit(limit, context));
  if (compiled.length === 0) return undefined;
  return (head, info) => compiled.flatMap((describe) => describe(head, info) ?? []);
}

/** The route's limits and, by the option, those of its virtual host. */
export function applicableLimits({ route, virtualHost, includeVirtualHost }: RouteRateLimits, option: VirtualHostRateLimits): readonly RateLimitConfig[] {
  if (includeVirtualHost || option === 'include') return [...route, ...virtualHost];
  if (option === 'ignore') return route;
  return route.length > 0 ? route : virtualHost;
}

function compileLimit({ actions, limit, hits }: RateLimitConfig, context: DescriptorContext): (head: RequestHead, info: StreamInfo) => Descriptor | undefined {
  const hitsOf = hits && compileHits(hits.value);
  const steps = actions.map((action) => compileAction(action, context));
  return (head, info) => {
    const entries: DescriptorEntry[] = [];
    for (const step of steps) {
      const entry = step(head, info);
      if (entry === false) return undefined;
      if (entry) entries.push(entry);
    }
    if (entries.length === 0) return undefined;
    const override = limit && ('unit' in limit ? limit : overrideOf(info, limit));
    const count = hitsOf?.(head, info);
    if (hitsOf && count === undefined) return undefined;
    return { entries, ...(override && { limit: override }), ...(count !== undefined && { hits: count }), ...(hits?.negative && { negative: true }) };
  };
}

/** Undefined where the text is no count: the descriptor is dropped, as in Envoy. */
function compileHits(value: number | string): (head: RequestHead, info: StreamInfo) => number | undefined {
  if (typeof value === 'number') return () => value;
  const format = compileFormatter(value);
  return (head, info) => {
    const text = format(head, info);
    const count = Number(text);
    return text !== '' && count >= 0 && count <= 1_000_000_000 ? Math.trunc(count) : undefined;
  };
}

function compileAction(action: RateLimitActionConfig, { localCluster, routeMetadata }: DescriptorContext): Action {
  switch (action.kind) {
    case 'source-cluster': return () => ({ key: 'source_cluster', value: localCluster });
    case 'destination-cluster': return (_head, info) => ({ key: 'destination_cluster', value: info.clusterName });
    case 'generic-key': {
      const entry = { key: action.key, value: action.value };
      return () => entry;
    }
    case 'query-parameter': {
      const { name, key, skipIfAbsent } = action;
      return (head) => {
        const value = queryParameter(head.path, name);
        return value !== undefined ? { key, value: decoded(value) } : skipIfAbsent ? undefined : false;
      };
    }
    case 'request-header': {
      const { header, key, skipIfAbsent } = action;
      return (head) => {
        const value = header.startsWith(':') || header === 'host' ? requestHeader(head, header) : head.headers.get(header);
        return value ? { key, value } : skipIfAbsent ? undefined : false;
      };
    }
    case 'remote-address': return (_head, info) => {
      const address = addressOf(info.downstreamRemoteAddress);
      return address === undefined ? false : { key: 'remote_address', value: address };
    };
    case 'masked-remote-address': {
      const { v4, v6 } = action;
      return (_head, info) => {
        const address = addressOf(info.downstreamRemoteAddress);
        return address === undefined ? false : { key: 'masked_remote_address', value: isIP(address) === 4 ? maskedV4(address, v4) : maskedV6(address, v6) };
      };
    }
    case 'header-value-match': {
      const matchers = action.headers.map(compileHeaderMatcher);
      const entry = { key: action.key, value: action.value };
      return (head) => (matchers.every((matches) => matches(head)) === action.expect ? entry : false);
    }
    case 'query-parameter-value-match': {
      const matchers = action.parameters.map(compileQueryMatcher);
      const entry = { key: action.key, value: action.value };
      return (head) => (matchers.every((matches) => matches(head.path)) === action.expect ? entry : false);
    }
    case 'metadata': {
      const { key, from, metadata, default: fallback, skipIfAbsent } = action;
      return (_head, info) => {
        const found = from === 'route' ? metadataAt(routeMetadata[metadata.key], metadata.path) : metadataAt(info.metadata?.get(metadata.key), metadata.path);
        const value = (typeof found === 'string' && found) || fallback;
        return value !== '' ? { key, value } : skipIfAbsent ? undefined : false;
      };
    }
  }
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function overrideOf(info: StreamInfo, { key, path }: MetadataKeyConfig): Descriptor['limit'] | undefined {
  const found = metadataAt(info.metadata?.get(key), path) as { requests_per_unit?: unknown; unit?: unknown } | undefined;
  const requestsPerUnit = found?.requests_per_unit;
  const unit = found?.unit;
  return typeof requestsPerUnit === 'number' && typeof unit === 'string' ? { requestsPerUnit: Math.trunc(requestsPerUnit), unit } : undefined;
}

/** Without the port; undefined where the other side has no IP address. */
function addressOf(address: string): string | undefined {
  const host = /^\[(.*)\]:\d+$/.exec(address)?.[1] ?? (isIP(address) ? address : address.slice(0, Math.max(0, address.lastIndexOf(':'))));
  return isIP(host) ? host : undefined;
}

function maskedV4(address: string, bits: number): string {
  const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const masked = bits === 0 ? 0 : Math.floor(number / 2 ** (32 - bits)) * 2 ** (32 - bits);
  return `${[24, 16, 8, 0].map((shift) => Math.floor(masked / 2 ** shift) % 256).join('.')}/${bits}`;
}

function maskedV6(address: string, bits: number): string {
  const groups = groupsOf(address);
  const masked = groups.map((group, i) => {
    const kept = Math.min(16, Math.max(0, bits - i * 16));
    return kept === 0 ? 0 : Math.floor(group / 2 ** (16 - kept)) * 2 ** (16 - kept);
  });
  // The URL parser writes addresses in their shortest form (RFC 5952).
  return `${new URL(`http://[${masked.map((group) => group.toString(16)).join(':')}]/`).hostname.slice(1, -1)}/${bits}`;
}

function groupsOf(address: string): number[] {
  const plain = new URL(`http://[${address.split('%', 1)[0] ?? ''}]/`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const parse = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const before = parse(head);
  if (tail === undefined) return before;
  const after = parse(tail);
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}
