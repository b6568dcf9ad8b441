// Every resource name that exists for a client: what `weft generate` prints, and what a wildcard means to Envoy.
import { endpointPort } from '../model/endpoint-port.js';
import { isHttp, type Service, type ServicePort } from '../model/service.js';
import type { Workload } from '../model/workload.js';
import { clusterTarget, discovery } from './cluster-target.js';
import type { GenerateContext, ProfileName } from './generator.js';
import { hostPort, outboundName } from './name.js';
import { hasCluster, namedTarget, virtualHostPort } from './outbound-target.js';
import { rootSecretName } from './secret.js';
import { trafficPolicyRule } from './traffic-policy.js';

export function visibleHttpPorts({ model, node }: GenerateContext): { service: Service; port: ServicePort }[] {
  return [...model.servicesVisibleFrom(node.namespace)]
    .sort((a, b) => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0))
    .flatMap((service) => service.ports.filter(({ protocol }) => isHttp(protocol)).map((port) => ({ service, port })));
}

/** Ports of every protocol: what is no HTTP is carried as bytes, of which gRPC knows nothing. */
function visiblePorts(context: GenerateContext, profile: ProfileName): { service: Service; port: ServicePort }[] {
  if (profile === 'grpc') return visibleHttpPorts(context);
  const { model, node } = context;
  return [...model.servicesVisibleFrom(node.namespace)]
    .sort((a, b) => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0))
    .flatMap((service) => service.ports.map((port) => ({ service, port })));
}

/** Ports of bytes, each number with the services that have it. */
export function visibleBytePorts(context: GenerateContext): { service: Service; port: ServicePort }[] {
  return visiblePorts(context, 'weft').filter(({ service, port }) => !isHttp(port.protocol) && hasCluster(service, port));
}

/** Hosts that are no service's, only a VirtualService's: they answer on one port. */
export function visibleVirtualHosts({ model, node }: GenerateContext): string[] {
  return model.routeHosts(node.namespace).filter((host) => model.resolve(host, node.namespace) === undefined);
}

/** Listeners of what can be dialled, by `HOST:PORT`. */
export function outboundListenerNames(context: GenerateContext, profile: ProfileName): string[] {
  return visiblePorts(context, profile)
    .filter(({ service, port }) => (isHttp(port.protocol) ? namedTarget(context, service.host, port.number) !== undefined : hasCluster(service, port) || context.model.routeRule(service.host, context.node.namespace) !== undefined))
    .map(({ service, port }) => hostPort(service.host, port.number))
    .concat(dialableVirtualHosts(context).map((host) => hostPort(host, virtualHostPort)));
}

export function outboundRouteNames(context: GenerateContext): string[] {
  const services = dialable(context).map(({ service, port }) => outboundName(service.host, port.number));
  return [...services, ...dialableVirtualHosts(context).map((host) => outboundName(host, virtualHostPort))];
}

/** A wildcard has no name that could be dialled. */
function dialableVirtualHosts(context: GenerateContext): string[] {
  return visibleVirtualHosts(context).filter((host) => !host.startsWith('*'));
}

/** The ports that this client itself serves, by the addresses it registers with. */
export function inboundPorts({ model, node }: GenerateContext, profile: ProfileName): { portName: string; address: string; port: number }[] {
  const found = node.addresses.flatMap((address) =>
    model.workloadsByAddress(node.namespace, address).filter(isOwn).flatMap((workload) =>
      model.servicesOf(workload).flatMap((service) =>
        service.ports.filter(({ protocol }) => profile === 'weft' || isHttp(protocol)).flatMap((servicePort) => {
          const port = endpointPort(workload, servicePort);
          return port === undefined ? [] : [{ portName: servicePort.name, address, port }];
        }),
      ),
    ),
  );
  return [...new Map(found.map((entry) => [`${entry.address} ${entry.port}`, entry])).values()];

  // Several workloads may share an address, such as 127.0.0.1.
  function isOwn({ name, group, serviceAccount }: Workload): boolean {
    if (node.workload !== '') return group === `${node.namespace}/${node.workload}` || name === node.workload;
    return serviceAccount === undefined || serviceAccount === node.serviceAccount;
  }
}

/** One cluster a port and subset. */
export function clusterNames(context: GenerateContext, profile: ProfileName): string[] {
  return visiblePorts(context, profile)
    .filter(({ service, port }) => hasCluster(service, port))
    .flatMap(({ service, port }) => {
      const subsets = trafficPolicyRule(context, service)?.subsets.map(({ name }) => name) ?? [];
      return ['', ...new Set(subsets)].map((subset) => outboundName(service.host, port.number, subset));
    });
}

export function endpointNames(context: GenerateContext, profile: ProfileName): string[] {
  return clusterNames(context, profile).filter((name) => {
    const target = clusterTarget(context, profile, name);
    return target !== undefined && discovery(context, profile, target).kind === 'eds';
  });
}

export function secretNames(context: GenerateContext): string[] {
  return context.authorities().length > 0 ? [rootSecretName] : [];
}

function dialable(context: GenerateContext) {
  return visibleHttpPorts(context).filter(({ service, port }) => namedTarget(context, service.host, port.number) !== undefined);
}
