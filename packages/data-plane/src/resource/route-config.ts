// RouteConfiguration, decoded: frozen plain data with Envoy's field names in camelCase. Durations are milliseconds.
import type { RateLimitConfig } from './rate-limit-config.js';
import type { CookieMatcherConfig, FilterStateMatcherConfig, FractionConfig, HeaderMatcherConfig, MetadataMatcherConfig, QueryParameterMatcherConfig, StringMatcherConfig } from './matcher-config.js';
import type { HedgePolicyConfig, RetryPolicyConfig } from './retry-config.js';

export type { HedgePolicyConfig, RetryPolicyConfig };

export interface RouteConfigurationConfig {
  name: string;
  virtualHosts: readonly VirtualHostConfig[];
  mutations: HeaderMutationsConfig;
  mostSpecificHeaderMutationsWins: boolean;
  ignorePortInHostMatching: boolean;
  /** What follows a semicolon in a segment is not matched. */
  ignorePathParameters?: true;
  maxDirectResponseBodySize: number;
  filterOverrides: FilterOverrides;
}

export interface VirtualHostConfig {
  name: string;
  domains: readonly string[];
  /** Requests over plain HTTP are redirected to https: all of them, or those that come from outside this process. */
  requireTls?: 'all' | 'external';
  /** With a `matcher`: all that its actions name. */
  routes: readonly RouteEntryConfig[];
  /** Which of the routes are tried, instead of all in their order. */
  matcher?: RouteMatcherConfig;
  mutations: HeaderMutationsConfig;
  retryPolicy?: RetryPolicyConfig;
  hedgePolicy?: HedgePolicyConfig;
  includeRequestAttemptCount: boolean;
  includeAttemptCountInResponse?: boolean;
  includeIsTimeoutRetryHeader?: boolean;
  /** Bytes of a request body that are kept for retries and mirrors; undefined = as the client does. */
  bufferLimitBytes?: number;
  /** Comes before it. */
  bodyBufferLimitBytes?: number;
  filterOverrides: FilterOverrides;
  rateLimits?: readonly RateLimitConfig[];
}

/** xds.type.matcher.v3.Matcher over request headers. */
export type RouteMatcherConfig = (
  | { kind: 'list'; entries: readonly { predicate: RoutePredicateConfig; onMatch: RouteOnMatchConfig }[] }
  | { kind: 'exact-map' | 'prefix-map'; header: string; map: ReadonlyMap<string, RouteOnMatchConfig> }
) & { onNoMatch?: RouteOnMatchConfig };

/** `routes`: their places in the virtual host. */
export type RouteOnMatchConfig = { routes: readonly number[]; matcher?: undefined } | { matcher: RouteMatcherConfig };

export type RoutePredicateConfig =
  | { kind: 'header'; header: string; matcher: StringMatcherConfig }
  | { kind: 'and' | 'or'; predicates: readonly RoutePredicateConfig[] }
  | { kind: 'not'; predicate: RoutePredicateConfig };

export interface RouteEntryConfig {
  name: string;
  match: RouteMatchConfig;
  action: RouteActionConfig;
  mutations: HeaderMutationsConfig;
  filterOverrides: FilterOverrides;
  metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Instead of the virtual host's. */
  bufferLimitBytes?: number;
  /** Comes before it. */
  bodyBufferLimitBytes?: number;
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
  | { kind: 'direct-response'; status: number; body: Uint8Array; /** With formatters, instead of `body`; what is not known is `missing`. */ bodyFormat?: { text: string; missing: string; contentType: string } }
  /** Server side: the application's handler. */
  | { kind: 'non-forwarding' };

export interface ForwardActionConfig {
  cluster: { kind: 'cluster'; name: string } | { kind: 'weighted'; clusters: readonly WeightedClusterConfig[]; totalWeight: number; headerName: string; useHash?: boolean } | { kind: 'header'; header: string };
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
  /** path_rewrite_policy: a template over the variables of the URI template that the route matches. */
  templateRewrite?: string;
  /** path_rewrite: a path with formatters. */
  pathFormat?: string;
  hostRewrite?: { kind: 'literal'; value: string } | { kind: 'format'; format: string } | { kind: 'header'; header: string } | { kind: 'path-regex'; regex: RegexRewriteConfig } | { kind: 'auto' };
  appendXForwardedHost: boolean;
  hashPolicies: readonly HashPolicyConfig[];
  mirrors: readonly MirrorConfig[];
  internalRedirect?: InternalRedirectConfig;
  /** Subset selection. */
  metadataMatch?: Readonly<Record<string, unknown>>;
  priority: 'default' | 'high';
  rateLimits?: readonly RateLimitConfig[];
  includeVirtualHostRateLimits?: boolean;
  upgrades?: UpgradesConfig;
}

/** By upgrade type in lower case: whether it is allowed. */
export type UpgradesConfig = ReadonlyMap<string, boolean>;

/** `cluster`, or `clusterHeader`, which names one. */
export interface MirrorConfig {
  cluster: string;
  clusterHeader?: string;
  fraction?: FractionConfig;
  /** Instead of the request's host with `-shadow`. */
  hostRewrite?: string;
  /** `false`: the host stays as it is. */
  hostSuffix?: boolean;
  /** In this order. */
  mutations?: readonly HeaderMutationConfig[];
}

/** internal_redirect_policy: redirects of the upstream that are followed here, unseen by the application. */
export interface InternalRedirectConfig {
  maxRedirects: number;
  statuses: readonly number[];
  crossScheme: 'no' | 'safe' | 'yes';
  /** Absent: any route. */
  allowedRoutes?: readonly string[];
  /** A route that this request was redirected to before is not taken again. */
  notPreviousRoutes: boolean;
  /** From the redirect's response into the next request. */
  copyHeaders: readonly string[];
}

export interface WeightedClusterConfig {
  /** Empty where `clusterHeader` names it. */
  name: string;
  clusterHeader?: string;
  /** host_rewrite_literal, instead of the route's. */
  hostRewrite?: string;
  weight: number;
  mutations: HeaderMutationsConfig;
  filterOverrides: FilterOverrides;
  metadataMatch?: Readonly<Record<string, unknown>>;
}

export interface RedirectConfig {
  status: number;
  /** path_rewrite: a path with formatters. */
  pathFormat?: string;
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
  | { kind: 'cookie'; name: string; path: string; ttlMs?: number; attributes?: readonly { name: string; value: string }[] }
  | { kind: 'query-parameter'; name: string }
  | { kind: 'source-ip' }
  | { kind: 'filter-state'; key: string }
) & { terminal: boolean };

