// What a route does with a request that matched: forward, redirect or answer.
import { RedirectAction_RedirectResponseCode as Code, type RedirectActionSchema, type RouteActionSchema, type RouteSchema } from '@weft/xds-api/route';
import type { Destination, HttpRoute, Rewrite, RouteAction, WeightedDestination } from '../model/route-rule.js';
import { breakerOverrides, breakersOf } from './breakers.js';
import type { GenerateContext, ProfileName } from './generator.js';
import { consistentHash, hashPolicies } from './hash-policy.js';
import { hasHeaderEdits, headerMutations } from './header-edits.js';
import { duration, fraction, type Init } from './message.js';
import { blackHoleCluster, outboundName } from './name.js';
import { retryPolicy } from './retry.js';

type RouteActionInit = Init<typeof RouteActionSchema>;
export type ActionInit = NonNullable<Init<typeof RouteSchema>['action']>;

export interface ActionScope {
  context: GenerateContext;
  profile: ProfileName;
  /** A destination without port keeps it. */
  dialledPort: number;
  warn(reason: string): void;
}

export function routeActionOf(scope: ActionScope, route: HttpRoute): ActionInit {
  const { action } = route;
  if (action.kind === 'route') return forward(scope, route, action.destinations);
  if (scope.profile === 'grpc') {
    // gRPC refuses the whole route configuration for a redirect or a direct response; and leaving the route out would
    // let its requests fall through to the next one.
    scope.warn(`${action.kind === 'redirect' ? 'redirect' : 'directResponse'}: gRPC cannot do this; matching calls fail with UNAVAILABLE`);
    return toCluster(blackHoleCluster);
  }
  if (action.kind === 'redirect') return { case: 'redirect', value: redirect(action, scope.dialledPort) };
  const { status, body } = action;
  return { case: 'directResponse', value: { status, ...(body.length > 0 ? { body: { specifier: { case: 'inlineBytes', value: body } } } : {}) } };
}

/** To one cluster, with what every forwarding route has: no timeout and the default retries. */
export function defaultForward(scope: ActionScope, destination: Destination): ActionInit {
  return forward(scope, { name: 'default', matches: [], action: { kind: 'route', destinations: [] }, mirrors: [] }, [{ ...destination, weight: 1 }]);
}

function forward(scope: ActionScope, route: HttpRoute, destinations: readonly WeightedDestination[]): ActionInit {
  const { context, profile, dialledPort, warn } = scope;
  const live = destinations.length === 1 ? destinations : destinations.filter(({ weight }) => weight > 0);
  if (live.length === 0) {
    warn('route: no destination has a weight above 0');
    return profile === 'grpc' ? toCluster(blackHoleCluster) : { case: 'directResponse', value: { status: 503 } };
  }
  const hashed = live.some((destination) => consistentHash(context, destination, dialledPort) !== undefined);
  const retries = retryPolicy(profile, route.retries, hashed, warn);
  const value: RouteActionInit = {
    clusterSpecifier: clusterSpecifier(scope, live),
    ...timeouts(profile, route.timeoutMs ?? 0),
    ...(retries && { retryPolicy: retries }),
    hashPolicy: hashPolicies(context, profile, live, dialledPort, warn),
  };
  if (profile === 'grpc') warnUnsupported(route, live, warn);
  else Object.assign(value, rewrites(route.rewrite), mirrors(route, dialledPort));
  return { case: 'route', value };
}

function clusterSpecifier({ context, profile, dialledPort }: ActionScope, destinations: readonly WeightedDestination[]): NonNullable<RouteActionInit['clusterSpecifier']> {
  const [only] = destinations;
  const breakers = (destination: WeightedDestination) => (profile === 'weft' ? breakersOf(context, destination, dialledPort) : undefined);
  if (destinations.length === 1 && only && (profile === 'grpc' || (!hasHeaderEdits(only) && !breakers(only)))) return { case: 'cluster', value: clusterOf(only, dialledPort) };
  // A single destination of weight 0 gets all, too.
  const weightOf = ({ weight }: WeightedDestination) => (destinations.length === 1 ? Math.max(weight, 1) : weight);
  return {
    case: 'weightedClusters',
    value: {
      clusters: destinations.map((destination) => ({
        name: clusterOf(destination, dialledPort),
        weight: weightOf(destination),
        ...(profile === 'grpc' ? {} : headerMutations(destination)),
        typedPerFilterConfig: breakerOverrides(breakers(destination) ?? {}),
      })),
      // Long deprecated and ignored by Envoy, but gRPC C-core refuses and grpc-js-xds up to 1.14.0 misroutes without it.
      ...(profile === 'envoy' ? {} : { totalWeight: destinations.reduce((sum, destination) => sum + weightOf(destination), 0) }),
    },
  };
}

/**
 * 0 turns the timeout off, as Istio does; left unset, Envoy would take 15 s. A smaller grpc-timeout of the request counts: by the
 * deprecated field, since with max_stream_duration.grpc_timeout_header_max Envoy ignores `timeout` altogether.
 */
function timeouts(profile: ProfileName, timeoutMs: number): RouteActionInit {
  if (profile !== 'grpc') return { timeout: duration(timeoutMs), maxGrpcTimeout: duration(timeoutMs) };
  return timeoutMs > 0 ? { maxStreamDuration: { maxStreamDuration: duration(timeoutMs) } } : {};
}

function rewrites(rewrite: Rewrite | undefined): RouteActionInit {
  const { uri, uriRegex, authority } = rewrite ?? {};
  return {
    ...(uriRegex ? { regexRewrite: { pattern: { regex: uriRegex.match }, substitution: uriRegex.rewrite } } : uri ? { prefixRewrite: uri } : {}),
    ...(authority ? { hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: authority } } : {}),
  };
}

function mirrors({ mirrors: list }: HttpRoute, dialledPort: number): RouteActionInit {
  const active = list.filter(({ percent }) => percent > 0);
  return {
    requestMirrorPolicies: active.map((mirror) => ({
      cluster: clusterOf(mirror, dialledPort),
      runtimeFraction: { defaultValue: fraction(mirror.percent) },
      traceSampled: false,
    })),
  };
}

/** Routes are made for one port each, so the request's port is known here; Envoy has no word for it. */
function redirect(action: Extract<RouteAction, { kind: 'redirect' }>, dialledPort: number): Init<typeof RedirectActionSchema> {
  const { uri, prefixRewrite, authority, status } = action;
  const port = action.port === 'dialled' ? dialledPort : action.port;
  const { scheme } = action;
  const written = scheme ?? (action.port === 'dialled' ? 'http' : undefined);
  const schemeDefault = (written === 'http' && port === 80) || (written === 'https' && port === 443);
  return {
    ...(prefixRewrite ? { pathRewriteSpecifier: { case: 'prefixRewrite', value: prefixRewrite } } : uri ? { pathRewriteSpecifier: { case: 'pathRedirect', value: uri } } : {}),
    ...(authority ? { hostRedirect: authority } : {}),
    ...(scheme ? { schemeRewriteSpecifier: { case: 'schemeRedirect', value: scheme } } : {}),
    ...(port !== undefined && !schemeDefault ? { portRedirect: port } : {}),
    responseCode: responseCodes.get(status) ?? Code.MOVED_PERMANENTLY,
  };
}

const responseCodes = new Map([
  [301, Code.MOVED_PERMANENTLY],
  [302, Code.FOUND],
  [303, Code.SEE_OTHER],
  [307, Code.TEMPORARY_REDIRECT],
  [308, Code.PERMANENT_REDIRECT],
]);

function warnUnsupported(route: HttpRoute, destinations: readonly WeightedDestination[], warn: (reason: string) => void): void {
  const unsupported = [
    route.rewrite && 'rewrite',
    (hasHeaderEdits(route) || destinations.some(hasHeaderEdits)) && 'headers',
    route.mirrors.length > 0 && 'mirror',
    route.cors && 'corsPolicy',
  ].filter((field) => typeof field === 'string');
  if (unsupported.length > 0) warn(`gRPC clients cannot do ${unsupported.join(', ')}: calls are routed without`);
}

function clusterOf({ host, port, subset }: Destination, dialledPort: number): string {
  return outboundName(host, port ?? dialledPort, subset);
}

function toCluster(name: string): ActionInit {
  return { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: name } } };
}
