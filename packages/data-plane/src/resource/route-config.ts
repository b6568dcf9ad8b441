// RouteConfiguration, decoded: frozen plain data with Envoy's field names in camelCase. Durations are milliseconds.
import type { RateLimitConfig } from './rate-limit-config.js';
import type { CookieMatcherConfig, FilterStateMatcherConfig, FractionConfig, HeaderMatcherConfig, MetadataMatcherConfig, QueryParameterMatcherConfig } from './matcher-config.js';
import type { HedgePolicyConfig, RetryPolicyConfig } from './retry-config.js';

export type { HedgePolicyConfig, RetryPolicyConfig };

export interface RouteConfigurationConfig {
  name: string;
  virtualHosts: readonly VirtualHostConfig[];
  mutations: HeaderMutationsConfig;
  mostSpecificHeaderMutationsWins: boolean;
  ignorePortInHostMatching: boolean;
  maxDirectResponseBodySize: number;
  filterOverrides: FilterOverrides;
}

export interface VirtualHostConfig {
  name: string;
  domains: readonly string[];
  routes: readonly RouteEntryConfig[];
  mutations: HeaderMutationsConfig;
  retryPolicy?: RetryPolicyConfig;
  hedgePolicy?: HedgePolicyConfig;
  includeRequestAttemptCount: boolean;
  includeAttemptCountInResponse?: boolean;
  includeIsTimeoutRetryHeader?: boolean;
  /** Bytes of a request body that are kept for retries and mirrors; undefined = as the client does. */
  bufferLimitBytes?: number;
  filterOverrides: FilterOverrides;
  rateLimits?: readonly RateLimitConfig[];
}

export interface RouteEntryConfig {
  name: string;
  match: RouteMatchConfig;
  action: RouteActionConfig;
  mutations: HeaderMutationsConfig;
  filterOverrides: FilterOverrides;
  metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Instead of the virtual host's. */
  bufferLimitBytes?: number;
}

/** By filter name (the `name` in http_filters): the override its factory parsed. */
export type FilterOverrides = ReadonlyMap<string, unknown>;

export interface RouteMatchConfig {
  path:
    | { kind: 'prefix' | 'exact' | 'path-separated-prefix'; value: string; caseSensitive: boolean }
    | { kind: 'regex'; value: string }
    | { kind: 'uri-template'; value: string }
    /** CONNECT requests, whatever their target. */
    | { kind: 'connect' };
  headers: readonly HeaderMatcherConfig[];
  queryParameters: readonly QueryParameterMatcherConfig[];
  runtimeFraction?: FractionConfig;
  grpc: boolean;
  tlsPresented?: boolean;
  tlsValidated?: boolean;
  cookies?: readonly CookieMatcherConfig[];
  dynamicMetadata?: readonly MetadataMatcherConfig[];
  filterState?: readonly FilterStateMatcherConfig[];
}

export type RouteActionConfig =
  | ({ kind: 'route' } & ForwardActionConfig)
  | ({ kind: 'redirect' } & RedirectConfig)
  | { kind: 'direct-response'; status: number; body: Uint8Array }
  /** Server side: the application's handler. */
  | { kind: 'non-forwarding' };

export interface ForwardActionConfig {
  cluster: { kind: 'cluster'; name: string } | { kind: 'weighted'; clusters: readonly WeightedClusterConfig[]; totalWeight: number; headerName: string } | { kind: 'header'; header: string };
  clusterNotFoundStatus: number;
  /** 0 = none; Envoy's default is 15 s. Counted from the end of the request. */
  timeoutMs: number;
  idleTimeoutMs?: number;
  maxStreamDuration?: { maxMs?: number; grpcTimeoutHeaderMaxMs?: number; grpcTimeoutHeaderOffsetMs?: number };
  /** Older fields, for routes without `maxStreamDuration`: gRPC's own deadline, so bounded, instead of `timeoutMs`; 0 = unbounded. */
  maxGrpcTimeoutMs?: number;
  grpcTimeoutOffsetMs?: number;
  retryPolicy?: RetryPolicyConfig;
  hedgePolicy?: HedgePolicyConfig;
  prefixRewrite?: string;
  regexRewrite?: RegexRewriteConfig;
  hostRewrite?: { kind: 'literal'; value: string } | { kind: 'header'; header: string } | { kind: 'path-regex'; regex: RegexRewriteConfig } | { kind: 'auto' };
  appendXForwardedHost: boolean;
  hashPolicies: readonly HashPolicyConfig[];
  mirrors: readonly { cluster: string; fraction?: FractionConfig }[];
  /** Subset selection. */
  metadataMatch?: Readonly<Record<string, unknown>>;
  priority: 'default' | 'high';
  rateLimits?: readonly RateLimitConfig[];
  includeVirtualHostRateLimits?: boolean;
  upgrades?: UpgradesConfig;
}

/** By upgrade type in lower case: whether it is allowed. */
export type UpgradesConfig = ReadonlyMap<string, boolean>;

export interface WeightedClusterConfig {
  name: string;
  weight: number;
  mutations: HeaderMutationsConfig;
  filterOverrides: FilterOverrides;
  metadataMatch?: Readonly<Record<string, unknown>>;
}

export interface RedirectConfig {
  status: number;
  https: boolean;
  scheme?: string;
  host?: string;
  port?: number;
  path?: string;
  prefixRewrite?: string;
  regexRewrite?: RegexRewriteConfig;
  stripQuery: boolean;
}

/** RE2 pattern and substitution (`\1`). */
export interface RegexRewriteConfig {
  pattern: string;
  substitution: string;
}

export interface HeaderMutationsConfig {
  request: HeaderMutationConfig;
  response: HeaderMutationConfig;
}

export interface HeaderMutationConfig {
  add: readonly {
    name: string;
    /** May hold formatters such as %REQ(x)%. */
    value: string;
    action: 'append-if-exists-or-add' | 'add-if-absent' | 'overwrite-if-exists-or-add' | 'overwrite-if-exists';
    keepEmpty: boolean;
  }[];
  remove: readonly string[];
}

export const noMutations: HeaderMutationsConfig = Object.freeze({ request: { add: [], remove: [] }, response: { add: [], remove: [] } });

export type HashPolicyConfig = (
  | { kind: 'header'; name: string; rewrite?: RegexRewriteConfig }
  | { kind: 'cookie'; name: string; path: string; ttlMs?: number }
  | { kind: 'query-parameter'; name: string }
  | { kind: 'source-ip' }
  | { kind: 'filter-state'; key: string }
) & { terminal: boolean };

