// Weft's breakers (docs/overload.md) of its own clients: filters that are off, and switched on for the clusters whose policy has one.
import { packAny } from '@weft/xds-api';
import { AdaptiveBreakerSchema, ErrorRateBreakerSchema } from '@weft/xds-api/filter-overload';
import type { Destination } from '../model/route-rule.js';
import type { Breakers } from '../model/traffic-policy.js';
import type { GenerateContext } from './generator.js';
import { duration, extension } from './message.js';
import { visibleService, type OutboundTarget } from './outbound-target.js';
import { effectivePolicy } from './traffic-policy.js';

const adaptiveName = 'weft.filters.http.adaptive_breaker';
const errorRateName = 'weft.filters.http.error_rate_breaker';

/** Of a dialled name: those that some destination of it has. */
export function breakerFilters(context: GenerateContext, { host, port }: OutboundTarget) {
  const routes = context.model.routeRule(host, context.node.namespace)?.http ?? [];
  const destinations = [{ host, subset: '' }, ...routes.flatMap(({ action }) => (action.kind === 'route' ? action.destinations : []))];
  const found = destinations.flatMap((destination) => breakersOf(context, destination, port) ?? []);
  return [
    ...(found.some(({ adaptive }) => adaptive) ? [{ ...extension(adaptiveName, AdaptiveBreakerSchema, { latencyThreshold: duration(1000) }), disabled: true }] : []),
    ...(found.some(({ errorRate }) => errorRate) ? [{ ...extension(errorRateName, ErrorRateBreakerSchema, {}), disabled: true }] : []),
  ];
}

export function breakersOf(context: GenerateContext, { host, subset, port }: Destination, dialledPort: number): Breakers | undefined {
  const service = visibleService(context, host);
  return service && effectivePolicy(context, service, subset, port ?? dialledPort).breakers;
}

/** What switches them on for one cluster. */
export function breakerOverrides({ adaptive, errorRate }: Breakers) {
  return {
    ...(adaptive && { [adaptiveName]: packAny(AdaptiveBreakerSchema, adaptiveConfig(adaptive)) }),
    ...(errorRate && { [errorRateName]: packAny(ErrorRateBreakerSchema, errorRateConfig(errorRate)) }),
  };
}

function adaptiveConfig({ latencyThresholdMs, minConcurrency, maxConcurrency }: NonNullable<Breakers['adaptive']>) {
  return { latencyThreshold: duration(latencyThresholdMs), ...(minConcurrency !== undefined && { minConcurrency }), ...(maxConcurrency !== undefined && { maxConcurrency }) };
}

function errorRateConfig({ errorThresholdPercent, volumeThreshold, rollingWindowMs, resetTimeoutMs }: NonNullable<Breakers['errorRate']>) {
  return {
    ...(errorThresholdPercent !== undefined && { errorThresholdPercent }),
    ...(volumeThreshold !== undefined && { volumeThreshold }),
    ...(rollingWindowMs !== undefined && { rollingWindow: duration(rollingWindowMs) }),
    ...(resetTimeoutMs !== undefined && { resetTimeout: duration(resetTimeoutMs) }),
  };
}
