// Envoy beside an application, as istiod sets it up for INTERCEPTION_MODE NONE: the application dials 127.0.0.1:PORT and the
// Host header says which service is meant.
import { packAny } from '@weft/xds-api';
import { HttpConnectionManagerSchema } from '@weft/xds-api/http';
import { ListenerSchema, TlsInspectorSchema } from '@weft/xds-api/listener';
import { TrafficDirection } from '@weft/xds-api/core';
import { RouteConfigurationSchema } from '@weft/xds-api/route';
import { corsFilter } from './cors.js';
import { dynamicForwardProxyFilter } from './dynamic-forward-proxy.js';
import { faultFilter } from './fault.js';
import type { GenerateContext, GeneratedResource } from './generator.js';
import { visibleBytePorts, visibleHttpPorts, visibleVirtualHosts } from './inventory.js';
import { duration, encode, extension, overAds, socketAddress, type Init } from './message.js';
import { routerFilter, upgradeConfigs } from './outbound-listener.js';
import { namedTarget, virtualHostPort } from './outbound-target.js';
import { tcpChains } from './tcp-listener.js';
import { directResponseLimit, virtualHost, type VirtualHostInit } from './route.js';

const loopback = '127.0.0.1';

/** Port numbers of visible services that speak HTTP, and of hosts that only a VirtualService names, each once, in order. */
export function httpPortNumbers(context: GenerateContext): number[] {
  const virtual = visibleVirtualHosts(context).length > 0 ? [virtualHostPort] : [];
  return [...new Set([...visibleHttpPorts(context).map(({ port }) => port.number), ...virtual])].sort((a, b) => a - b);
}

/** Those of all listeners. */
export function envoyPortNumbers(context: GenerateContext): number[] {
  return [...new Set([...httpPortNumbers(context), ...visibleBytePorts(context).map(({ port }) => port.number)])].sort((a, b) => a - b);
}

export function envoyListenerName(port: number): string {
  return `${loopback}_${port}`;
}

/** `127.0.0.1_PORT`, bound to the port shifted by the node's offset: the backend itself may listen on PORT. */
export function envoyListener(context: GenerateContext, name: string): GeneratedResource | undefined {
  const port = envoyPortNumbers(context).find((candidate) => envoyListenerName(candidate) === name);
  if (port === undefined) return undefined;
  const bound = port + context.node.portOffset;
  if (bound < 1 || bound > 65_535) {
    context.warn(`${name}: port ${port} plus offset ${context.node.portOffset} is no port`);
    return undefined;
  }
  const common = { name, address: socketAddress(loopback, bound), trafficDirection: TrafficDirection.OUTBOUND };
  if (!httpPortNumbers(context).includes(port)) return bytesListener(context, port, common);
  const byName = visibleHttpPorts(context).some((candidate) => candidate.port.number === port && candidate.service.resolution === 'dynamic-dns');
  return encode(ListenerSchema, {
    ...common,
    filterChains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            configType: {
              case: 'typedConfig',
              value: packAny(HttpConnectionManagerSchema, {
                statPrefix: `outbound_${loopback}_${port}`,
                routeSpecifier: { case: 'rds', value: { configSource: overAds, routeConfigName: String(port) } },
                httpFilters: [faultFilter(), corsFilter(), ...(byName ? [dynamicForwardProxyFilter()] : []), routerFilter()],
                normalizePath: true,
                upgradeConfigs,
                // Istio's: a stream may be silent for as long as it likes; Envoy alone would end it after 5 minutes.
                streamIdleTimeout: duration(0),
              }),
            },
          },
        ],
      },
    ],
  });
}

/** A connection to loopback does not say which service is meant: the first has the port, unless the application's own TLS tells them apart. */
function bytesListener(context: GenerateContext, port: number, common: Init<typeof ListenerSchema>): GeneratedResource | undefined {
  const [first, ...others] = visibleBytePorts(context).filter((candidate) => candidate.port.number === port);
  if (!first) return undefined;
  for (const { service } of others) context.warn(`${service.origin}: port ${port} of ${service.host}: an Envoy on loopback cannot tell it from ${first.service.host}, which has the port`);
  const filterChains = tcpChains(context, first);
  if (filterChains.length === 0) return undefined;
  const byName = filterChains.some(({ filterChainMatch }) => filterChainMatch !== undefined);
  return encode(ListenerSchema, { ...common, filterChains, ...(byName ? { listenerFilters: [extension('envoy.filters.listener.tls_inspector', TlsInspectorSchema, {})] } : {}) });
}

/** `PORT`: the virtual hosts of all visible services on it, and 502 for every other host, as under REGISTRY_ONLY. */
export function envoyRouteConfiguration(context: GenerateContext, name: string): GeneratedResource | undefined {
  const port = httpPortNumbers(context).find((candidate) => String(candidate) === name);
  if (port === undefined) return undefined;
  const taken = new Set<string>();
  const virtualHosts: VirtualHostInit[] = [];
  const services = visibleHttpPorts(context).filter((candidate) => candidate.port.number === port).map(({ service }) => service.host);
  for (const name of [...services, ...(port === virtualHostPort ? visibleVirtualHosts(context) : [])]) {
    const target = namedTarget(context, name, port);
    if (target === undefined) continue;
    const host = virtualHost(context, 'envoy', target);
    // Envoy refuses the whole configuration for a domain in two virtual hosts: the first keeps it.
    const domains = (host.domains ?? []).filter((domain) => !taken.has(domain));
    for (const domain of domains) taken.add(domain);
    if (domains.length > 0) virtualHosts.push({ ...host, domains });
  }
  // A VirtualService may be for every host there is.
  if (!taken.has('*')) virtualHosts.push({
    name: 'block_all',
    domains: ['*'],
    routes: [{ name: 'block_all', match: { pathSpecifier: { case: 'prefix', value: '/' } }, action: { case: 'directResponse', value: { status: 502 } } }],
  });
  return encode(RouteConfigurationSchema, { name, virtualHosts, ignorePortInHostMatching: true, ...directResponseLimit(virtualHosts) });
}
