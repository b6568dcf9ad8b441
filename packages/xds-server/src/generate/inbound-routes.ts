// The routes of a server's HTTP port: every request goes to the application. Where a VirtualService of the port's service has a CORS
// policy, its matches say which requests that policy is for, so the server answers the browsers that come to it.
import { packAny } from '@weft/xds-api';
import { isHttp, type Service } from '../model/service.js';
import type { HttpMatch, HttpRoute } from '../model/route-rule.js';
import { endpointPort } from '../model/endpoint-port.js';
import { corsConfig, corsFilterName, CorsPolicySchema } from './cors.js';
import type { GenerateContext } from './generator.js';
import type { InboundWorkload } from './inbound-workload.js';
import { isCatchAll, routeMatch } from './route-match.js';
import type { RouteInit } from './route.js';

export const everyRequest: RouteInit = { name: 'default', match: { pathSpecifier: { case: 'prefix', value: '/' } }, action: { case: 'nonForwardingAction', value: {} } };

/** Undefined where no service that leads here has a CORS policy. */
export function corsRoutes(context: GenerateContext, workload: InboundWorkload): RouteInit[] | undefined {
  const [first, ...others] = workload.services.flatMap((service) => {
    const routes = context.model.routeRule(service.host, workload.namespace)?.http ?? [];
    return routes.some(hasCors) ? [{ service, routes }] : [];
  });
  if (!first) return undefined;
  // Browsers come by names of their own, which tell nothing of the service.
  for (const { service } of others) context.warn(`${service.origin}: the corsPolicy of ${service.host} is not used on the port that it shares with ${first.service.host}, which comes first`);
  const ports = portsTo(first.service, workload);
  const result: RouteInit[] = [];
  for (const route of first.routes) {
    const matches = route.matches.length === 0 ? [undefined] : route.matches.filter((match) => mayBeBrowsers(match, ports));
    for (const match of matches) {
      const wireMatch = routeMatch(match);
      result.push({ ...everyRequest, name: [route.name, match?.name].filter(Boolean).join('.') || 'default', match: wireMatch, ...policyOf(route) });
      if (isCatchAll(wireMatch)) return result;
    }
  }
  return [...result, everyRequest];
}

function hasCors({ cors, action }: HttpRoute): boolean {
  return cors !== undefined && action.kind === 'route';
}

function policyOf(route: HttpRoute): Pick<RouteInit, 'typedPerFilterConfig'> {
  return route.cors && hasCors(route) ? { typedPerFilterConfig: { [corsFilterName]: packAny(CorsPolicySchema, corsConfig(route.cors)) } } : {};
}

/** Browsers are no workloads: what asks for labels or a namespace of the client is not for them. */
function mayBeBrowsers(match: HttpMatch, ports: readonly number[]): boolean {
  if (match.sourceNamespace !== undefined || Object.keys(match.sourceLabels).length > 0) return false;
  return match.port === undefined || ports.includes(match.port);
}

function portsTo({ ports }: Service, { target }: InboundWorkload): number[] {
  return ports.filter((port) => isHttp(port.protocol) && target !== undefined && endpointPort(target.workload, port) === target.port).map(({ number }) => number);
}
