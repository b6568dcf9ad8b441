// From what an application dials to the host and port of the mesh that is meant.
import type { Service, ServicePort } from '../model/service.js';
import { isHttp } from '../model/service.js';
import type { GenerateContext } from './generator.js';

/** A host and port with HTTP behind it. Without service: a host that only a VirtualService names. */
export interface OutboundTarget {
  host: string;
  port: number;
  service?: Service;
}

/** The port VirtualService hosts of no service answer on; Istio makes routes for them on this port only. */
export const virtualHostPort = 80;

/** Ports an application dials without writing them: `http://payments` and `http://payments:80` are one URL to fetch. */
export const schemePorts = [80, 443];

export function dialledTarget(context: GenerateContext, host: string, port: number): OutboundTarget | undefined {
  const { model, node } = context;
  const service = model.resolve(host, node.namespace);
  if (service === undefined) return virtualTarget(context, spelledOut(host, node.namespace, model.settings.clusterDomain), port);
  const servicePort = service.ports.find((candidate) => candidate.number === port) ?? schemePort(service, port);
  if (servicePort === undefined) return undefined;
  return httpTarget(context, service, servicePort);
}

/** The target of a route configuration, by full host. Hidden services (exportTo) do not exist for the client. */
export function namedTarget(context: GenerateContext, host: string, port: number): OutboundTarget | undefined {
  const service = visibleService(context, host);
  if (service === undefined) return virtualTarget(context, [host], port);
  const servicePort = service.ports.find((candidate) => candidate.number === port);
  return servicePort && httpTarget(context, service, servicePort);
}

/** Of several services that declare one host, the client's: two namespaces may each have it for themselves (exportTo `.`). */
export function visibleService({ model, node }: GenerateContext, host: string): Service | undefined {
  const service = model.resolve(host, node.namespace);
  return service?.host === host ? service : undefined;
}

/** The port that a scheme's default port stands for: a service's only HTTP port. */
export function schemePort(service: Service, port: number): ServicePort | undefined {
  if (!schemePorts.includes(port) || service.ports.some((candidate) => candidate.number === port)) return undefined;
  const http = service.ports.filter((candidate) => isHttp(candidate.protocol));
  return http.length === 1 ? http[0] : undefined;
}

/** Whether there is an address to send to: not for `none` (whatever was dialled), nor a wildcard without endpoints, but where requests say the name. */
export function hasCluster(service: Service, port: ServicePort): boolean {
  if (service.resolution === 'dynamic-dns') return isHttp(port.protocol);
  if (service.resolution === 'none') return false;
  const byName = service.resolution === 'dns' || service.resolution === 'logical-dns';
  return !(byName && service.host.startsWith('*') && service.endpoints.length === 0);
}

function httpTarget(context: GenerateContext, service: Service, port: ServicePort): OutboundTarget | undefined {
  if (!isHttp(port.protocol)) {
    context.warn(`${service.origin}: port ${port.number} is ${port.protocol}, not HTTP: no routes for it`);
    return undefined;
  }
  const target = { host: service.host, port: port.number, service };
  if (hasCluster(service, port) || context.model.routeRule(service.host, context.node.namespace)) return target;
  context.warn(`${service.origin}: resolution ${service.resolution} of ${service.host} gives no address to send to: left to the application's own client`);
  return undefined;
}

function virtualTarget({ model, node }: GenerateContext, hosts: readonly string[], port: number): OutboundTarget | undefined {
  if (port !== virtualHostPort) return undefined;
  const host = hosts.find((candidate) => (model.routeRule(candidate, node.namespace)?.http.length ?? 0) > 0);
  return host === undefined ? undefined : { host, port };
}

function spelledOut(host: string, namespace: string, clusterDomain: string): string[] {
  return [host, `${host}.${namespace}.svc.${clusterDomain}`, `${host}.svc.${clusterDomain}`, `${host}.${clusterDomain}`];
}
