import { isIP } from 'node:net';
import type { GenerateContext, ProfileName } from './generator.js';
import { bracketed } from './name.js';
import { schemePort, schemePorts, type OutboundTarget } from './outbound-target.js';

/**
 * Every spelling of a target that a client of this namespace may dial, with and without port: gRPC has no
 * `ignore_port_in_host_matching`, and fetch cannot tell `:80` from no port. Envoy has it, and needs it where its port is shifted.
 */
export function virtualHostDomains(context: GenerateContext, profile: ProfileName, target: OutboundTarget): string[] {
  if (profile === 'envoy') return hostSpellings(context, target);
  const ports = [target.port];
  const { service } = target;
  if (service) ports.push(...schemePorts.filter((port) => schemePort(service, port)?.number === target.port));
  return hostSpellings(context, target).flatMap((host) => [host, ...ports.map((port) => `${host}:${port}`)]);
}

function hostSpellings({ model, node }: GenerateContext, { host, service }: OutboundTarget): string[] {
  if (service === undefined) return [host, ...shortForms(host, node.namespace, model.settings.clusterDomain)];
  const { name, namespace, cluster } = service;
  const short = cluster ? [`${name}.${namespace}.svc`, `${name}.${namespace}`] : [];
  if (cluster && namespace === node.namespace) short.push(name);
  // A short form may be another service's real host: then it means that one.
  const own = short.filter((spelling) => spelling !== host && model.resolve(spelling, node.namespace)?.host === host);
  return [host, ...own, ...service.addresses.filter((address) => isIP(address) !== 0).map(bracketed)];
}

/** For hosts that only a VirtualService names: `foo` in the rule's namespace became the full name there. */
function shortForms(host: string, clientNamespace: string, clusterDomain: string): string[] {
  const suffix = `.svc.${clusterDomain}`;
  const [name, namespace, ...rest] = host.endsWith(suffix) ? host.slice(0, -suffix.length).split('.') : [];
  if (!name || !namespace || rest.length > 0) return [];
  const short = [`${name}.${namespace}.svc`, `${name}.${namespace}`];
  return namespace === clientNamespace ? [...short, name] : short;
}
