// The API listener behind a dialled `HOST:PORT`.
import { packAny } from '@weft/xds-api';
import { HttpConnectionManagerSchema, RouterSchema } from '@weft/xds-api/http';
import { ListenerSchema } from '@weft/xds-api/listener';
import { dynamicForwardProxyFilter } from './dynamic-forward-proxy.js';
import { faultFilter, hasFault } from './fault.js';
import { breakerFilters } from './breakers.js';
import type { GenerateContext, GeneratedResource, ProfileName } from './generator.js';
import { encode, extension, overAds } from './message.js';
import { outboundName, parseDialledName } from './name.js';
import { dialledTarget } from './outbound-target.js';
import { tcpListener, tcpTarget } from './tcp-listener.js';

export function outboundListener(context: GenerateContext, profile: ProfileName, name: string): GeneratedResource | undefined {
  const bytes = profile === 'weft' ? tcpTarget(context, name) : undefined;
  if (bytes) return tcpListener(context, name, bytes);
  const dialled = parseDialledName(name);
  const target = dialled && dialledTarget(context, dialled.host, dialled.port);
  if (target === undefined) return undefined;
  // gRPC drops its connections on any change of a Listener: its filters must not depend on whether a route has a fault.
  const withFault = profile === 'grpc' || context.model.routeRule(target.host, context.node.namespace)?.http.some(hasFault) === true;
  const byName = profile === 'weft' && target.service?.resolution === 'dynamic-dns';
  const routeConfigName = outboundName(target.host, target.port);
  return encode(ListenerSchema, {
    name,
    apiListener: {
      apiListener: packAny(HttpConnectionManagerSchema, {
        statPrefix: routeConfigName,
        routeSpecifier: { case: 'rds', value: { configSource: overAds, routeConfigName } },
        // Istio's sidecars let WebSockets through; gRPC does not know the field's meaning.
        ...(profile === 'grpc' ? {} : { upgradeConfigs }),
        // Breakers first: they judge a request with everything that is done to it.
        httpFilters: [...(profile === 'weft' ? breakerFilters(context, target) : []), ...(withFault ? [faultFilter()] : []), ...(byName ? [dynamicForwardProxyFilter()] : []), routerFilter()],
      }),
    },
  });
}

export const upgradeConfigs = [{ upgradeType: 'websocket' }];

export function routerFilter() {
  return extension('envoy.filters.http.router', RouterSchema, {});
}
