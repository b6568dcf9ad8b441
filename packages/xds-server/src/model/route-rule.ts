import type { ModelBase } from './model-base.js';

/** How requests for some hosts are routed: a VirtualService (later HTTPRoute, GRPCRoute, …). Hosts are in full. */
export interface RouteRule extends ModelBase {
  type: 'route-rule';
  hosts: readonly string[];
  /** Namespaces whose clients it is for; `*` for all. */
  exportTo: readonly string[];
  http: readonly HttpRoute[];
  /** Routes that other objects have. A reader of the model finds them merged into `http`; see route-delegation.ts. */
  delegations?: readonly Delegation[];
  /** For ports of bytes. */
  tcp: readonly StreamRoute[];
  /** For ports of TLS, by server name. */
  tls: readonly StreamRoute[];
}

/** Where connections go. */
export interface StreamRoute {
  /** Any of these; empty = every connection. */
  matches: readonly StreamMatch[];
  destinations: readonly WeightedDestination[];
}

/** Everything but the server names is evaluated by the control plane. */
export interface StreamMatch {
  sniHosts: readonly string[];
  destinationSubnets: readonly string[];
  port?: number;
  sourceLabels: Readonly<Record<string, string>>;
  sourceNamespace?: string;
}

/** Routes for others to take up: a VirtualService without hosts. */
export interface RouteDelegate extends ModelBase {
  type: 'route-delegate';
  /** Namespaces whose rules may take it up; `*` for all. */
  exportTo: readonly string[];
  http: readonly HttpRoute[];
}

export interface HttpRoute extends HttpPolicy {
  action: RouteAction;
  /** Whose route it is, where another object's rule took it up; for messages. */
  from?: string;
}

export interface Delegation extends HttpPolicy {
  namespace: string;
  delegate: string;
  /** How many of the rule's own routes stand before it. */
  at: number;
  /** Its place in the list as it was written, for messages. */
  index: number;
}

/** What a route has beside its action. */
export interface HttpPolicy {
  /** Name of the route, joined with a match's name in access logs. */
  name: string;
  /** Any of these; empty = every request. */
  matches: readonly HttpMatch[];
  /** Milliseconds; 0 or absent = no timeout (Istio's default). */
  timeoutMs?: number;
  /** Absent = the mesh default (2 attempts); attempts 0 = none. */
  retries?: RetryPolicy;
  fault?: Fault;
  rewrite?: Rewrite;
  requestHeaders?: HeaderEdits;
  responseHeaders?: HeaderEdits;
  mirrors: readonly Mirror[];
  cors?: CorsPolicy;
}

export type RouteAction =
  | { kind: 'route'; destinations: readonly WeightedDestination[] }
  | { kind: 'redirect'; uri?: string; prefixRewrite?: string; authority?: string; scheme?: string; port?: number | 'dialled'; status: number }
  | { kind: 'direct-response'; status: number; body: Uint8Array };

export interface Destination {
  /** In full. */
  host: string;
  subset: string;
  /** Absent: the port that was dialled. */
  port?: number;
}

export interface WeightedDestination extends Destination {
  /** Share of Σ; entries of weight 0 are already left out unless all are 0. */
  weight: number;
  requestHeaders?: HeaderEdits;
  responseHeaders?: HeaderEdits;
}

export interface Mirror extends Destination {
  /** 0 to 100. */
  percent: number;
}

export type StringMatch =
  | { kind: 'exact'; value: string }
  | { kind: 'prefix'; value: string }
  | { kind: 'regex'; value: string }
  | { kind: 'present' };

export interface HttpMatch {
  name: string;
  uri?: StringMatch;
  ignoreUriCase: boolean;
  scheme?: StringMatch;
  method?: StringMatch;
  authority?: StringMatch;
  headers: readonly { name: string; match: StringMatch }[];
  withoutHeaders: readonly { name: string; match: StringMatch }[];
  queryParams: readonly { name: string; match: StringMatch }[];
  /** Under which Envoy counts what it matched. */
  statPrefix?: string;
  /** Evaluated by the control plane against the subscribing client; never sent to it. */
  port?: number;
  sourceLabels: Readonly<Record<string, string>>;
  sourceNamespace?: string;
}

export interface RetryPolicy {
  attempts: number;
  perTryTimeoutMs?: number;
  /** Envoy's words, already split; numbers stand in `statusCodes`. Empty = Istio's default words. */
  retryOn: readonly string[];
  statusCodes: readonly number[];
  /** Base interval; absent = 25 ms. */
  backoffMs?: number;
  ignorePreviousHosts: boolean;
  remoteLocalities: boolean;
}

export interface Fault {
  /** Percentages are 0 to 100. */
  delay?: { fixedMs: number; percent: number };
  abort?: { httpStatus?: number; grpcStatus?: number; percent: number };
}

export interface Rewrite {
  /** Replaces the matched prefix, or the whole path where the match is exact or a regex. */
  uri?: string;
  uriRegex?: { match: string; rewrite: string };
  authority?: string;
}

export interface HeaderEdits {
  set: Readonly<Record<string, string>>;
  add: Readonly<Record<string, string>>;
  remove: readonly string[];
}

export interface CorsPolicy {
  allowOrigins: readonly StringMatch[];
  allowMethods: readonly string[];
  allowHeaders: readonly string[];
  exposeHeaders: readonly string[];
  maxAgeSeconds?: number;
  allowCredentials?: boolean;
  /** Preflights of other origins are answered, without permission, instead of forwarded. */
  ignoreUnmatchedPreflights?: boolean;
}
