// Route configurations: the routes of one host for one client (namespace, labels), under a name that does not depend on it.
import { packAny } from '@weft/xds-api';
import { HTTPFaultSchema } from '@weft/xds-api/filter-fault';
import { RouteConfigurationSchema, type RouteSchema, type VirtualHostSchema } from '@weft/xds-api/route';
import type { HttpMatch, HttpRoute, RouteRule } from '../model/route-rule.js';
import { corsConfig, corsFilterName, CorsPolicySchema } from './cors.js';
import { faultConfig, faultFilterName, hasFault } from './fault.js';
import type { GenerateContext, GeneratedResource, ProfileName } from './generator.js';
import { headerMutations } from './header-edits.js';
import { encode, type Init } from './message.js';
import { hostPort, parseOutboundName } from './name.js';
import { namedTarget, type OutboundTarget } from './outbound-target.js';
import { defaultForward, routeActionOf, type ActionScope } from './route-action.js';
import { appliesTo, grpcHeaderAlternatives, isCatchAll, pathMatch, routeMatch, type RouteMatchInit } from './route-match.js';
import { virtualHostDomains } from './virtual-host-domains.js';

export type RouteInit = Init<typeof RouteSchema>;
export type VirtualHostInit = Init<typeof VirtualHostSchema>;

/** `outbound|PORT||HOST` for Weft and gRPC clients. */
export function routeConfiguration(context: GenerateContext, profile: ProfileName, name: string): GeneratedResource | undefined {
  const parsed = parseOutboundName(name);
  if (parsed === undefined || parsed.subset !== '') return undefined;
  const target = namedTarget(context, parsed.host, parsed.port);
  if (target === undefined) return undefined;
  const virtualHosts = [virtualHost(context, profile, target)];
  return encode(RouteConfigurationSchema, { name, virtualHosts, ...directResponseLimit(virtualHosts) });
}

export function virtualHost(context: GenerateContext, profile: ProfileName, target: OutboundTarget): VirtualHostInit {
  return {
    name: hostPort(target.host, target.port),
    domains: virtualHostDomains(context, profile, target),
    routes: targetRoutes(context, profile, target),
    ...(countsAttempts(profile, target) && { includeRequestAttemptCount: true }),
  };
}

/** As istiod does, so that servers can tell retries from requests. gRPC has a header of its own for it, which Weft's clients send with retries only. */
function countsAttempts(profile: ProfileName, { port, service }: OutboundTarget): boolean {
  if (profile === 'grpc') return false;
  return profile === 'envoy' || service?.ports.find(({ number }) => number === port)?.protocol !== 'grpc';
}

/** Envoy cuts off direct responses at 4 KiB unless told otherwise. */
export function directResponseLimit(virtualHosts: readonly VirtualHostInit[]): { maxDirectResponseBodySizeBytes?: number } {
  const sizes = virtualHosts.flatMap(({ routes = [] }) => routes).map(({ action }) => {
    const body = action?.case === 'directResponse' ? action.value.body?.specifier : undefined;
    return body?.case === 'inlineBytes' ? body.value.length : 0;
  });
  const largest = Math.max(0, ...sizes);
  return largest > 4096 ? { maxDirectResponseBodySizeBytes: largest } : {};
}

function targetRoutes(context: GenerateContext, profile: ProfileName, target: OutboundTarget): RouteInit[] {
  const rule = context.model.routeRule(target.host, context.node.namespace);
  const routes = rule && ruleRoutes(context, profile, target, rule);
  if (routes) return routes;
  if (target.service === undefined) return [];
  const scope: ActionScope = { context, profile, dialledPort: target.port, warn: (reason) => context.warn(`${target.service?.origin}: ${reason}`) };
  return [{ name: 'default', match: forProfile(profile, routeMatch(undefined)), action: defaultForward(scope, { host: target.host, subset: '' }) }];
}

/** Undefined where no route of the rule is meant for this client at all: then it is as if there were no rule. */
function ruleRoutes(context: GenerateContext, profile: ProfileName, target: OutboundTarget, rule: RouteRule): RouteInit[] | undefined {
  const routes: RouteInit[] = [];
  let applies = false;
  for (const [index, route] of rule.http.entries()) {
    const matches = route.matches.length === 0 ? [undefined] : route.matches.filter((match) => appliesTo(match, context.node, target.port));
    if (matches.length === 0) continue;
    applies = true;
    const warn = (reason: string) => context.warn(`${route.from ?? `${rule.origin}: http[${index}]`}: ${reason}`);
    const rest = routeWithoutMatch({ context, profile, dialledPort: target.port, warn }, route);
    if (profile !== 'envoy' && matches.some((match) => match?.statPrefix)) warn('statPrefix: only Envoy splits its statistics by it');
    for (const match of matches) {
      for (const wireMatch of wireMatches(profile, match, warn)) {
        const counted = profile === 'envoy' && match?.statPrefix ? { statPrefix: match.statPrefix } : {};
        routes.push({ ...rest, ...counted, name: routeName(route, match), match: forProfile(profile, wireMatch) });
        // Nothing after it can be reached, and clients would still have to fetch the clusters that the rest names.
        if (isCatchAll(wireMatch)) return routes;
      }
    }
  }
  return applies ? routes : undefined;
}

function routeWithoutMatch(scope: ActionScope, route: HttpRoute): RouteInit {
  const { fault, cors } = route;
  const { profile } = scope;
  return {
    action: routeActionOf(scope, route),
    ...(profile === 'grpc' ? {} : headerMutations(route)),
    typedPerFilterConfig: {
      ...(fault && hasFault(route) ? { [faultFilterName]: packAny(HTTPFaultSchema, faultConfig(fault)) } : {}),
      ...(cors && profile === 'envoy' ? { [corsFilterName]: packAny(CorsPolicySchema, corsConfig(cors)) } : {}),
    },
  };
}

function routeName({ name }: HttpRoute, match: HttpMatch | undefined): string {
  return [name, match?.name].filter(Boolean).join('.');
}

function wireMatches(profile: ProfileName, match: HttpMatch | undefined, warn: (reason: string) => void): RouteMatchInit[] {
  if (match === undefined || profile !== 'grpc') return [routeMatch(match)];
  const { method, scheme, authority, queryParams } = match;
  // A gRPC call is always a POST without query: these are decided here, and exactly.
  if (queryParams.length > 0 || (method && !acceptsPost(method))) {
    warn(`match ${match.name || '(unnamed)'}: no gRPC call has ${queryParams.length > 0 ? 'a query' : 'another method than POST'}; left out`);
    return [];
  }
  if (scheme || authority) {
    warn(`match ${match.name || '(unnamed)'}: gRPC cannot match ${scheme ? 'scheme' : 'authority'}; left out, so its calls take the routes after it`);
    return [];
  }
  return grpcHeaderAlternatives(match).map((headers) => ({ ...pathMatch(match), headers }));
}

function acceptsPost(method: NonNullable<HttpMatch['method']>): boolean {
  if (method.kind === 'present') return true;
  if (method.kind === 'exact') return method.value === 'POST';
  if (method.kind === 'prefix') return 'POST'.startsWith(method.value);
  // Alternatives of plain words, which is what people write for methods; anything cleverer counts as no match.
  return method.value.replace(/^\(|\)$/g, '').split('|').includes('POST') || method.value === '.*' || method.value === '.+';
}

/** gRPC's default route is the empty prefix, which every implementation takes (grpc-xds 2.4). */
function forProfile(profile: ProfileName, match: RouteMatchInit): RouteMatchInit {
  const { pathSpecifier } = match;
  if (profile !== 'grpc' || pathSpecifier?.case !== 'prefix' || pathSpecifier.value !== '/') return match;
  return { ...match, pathSpecifier: { case: 'prefix', value: '' } };
}
