// Whose policies hold for a listening port: which workload it is, and which of its declared ports.
import { portProtocol } from '../config/kinds/kubernetes/service.js';
import { endpointPort } from '../model/endpoint-port.js';
import type { MtlsMode } from '../model/peer-policy.js';
import { isHttp, type Service } from '../model/service.js';
import type { Workload } from '../model/workload.js';
import type { GenerateContext } from './generator.js';
import type { InboundName } from './name.js';

export interface InboundWorkload {
  name: string;
  namespace: string;
  labels: Readonly<Record<string, string>>;
  /** What portLevelMtls and operation.ports call this port (contracts.md 2). */
  declaredPort: number;
  mtls: MtlsMode;
  /** Those that lead to this port. */
  services: readonly Service[];
  /** Absent where the model does not know the workload. */
  target?: { workload: Workload; port: number };
  /** What the port speaks is not HTTP: by the services that lead to it, else by its name. */
  bytes: boolean;
}

/** Undefined where several workloads share the address and it is not clear whose port it is: guessing could skip a policy. */
export function inboundWorkload(context: GenerateContext, inbound: InboundName): InboundWorkload | undefined {
  const { model, node } = context;
  const { namespace } = node;
  const group = node.workload === '' ? undefined : model.workloadGroup(namespace, node.workload);
  const found = group ? registered(context, inbound) : known(context, inbound);
  if (found === 'ambiguous') {
    context.warn(`${inbound.address}:${inbound.port}: several workloads of ${namespace} have this address and none this port: not served`);
    return undefined;
  }
  const labels = group?.labels ?? found?.labels ?? node.labels;
  const services = found ? model.servicesOf(found) : [];
  const ports = found ? services.flatMap((service) => service.ports.filter((port) => endpointPort(found, port) === inbound.port)) : [];
  const declaredPort = declared(inbound, { ...found?.ports, ...group?.ports }, services);
  return {
    name: group?.name ?? found?.name ?? node.workload,
    namespace,
    labels,
    declaredPort,
    mtls: model.mtlsMode({ namespace, labels }, declaredPort),
    bytes: ports.length > 0 ? ports.every(({ protocol }) => !isHttp(protocol)) : !isHttp(portProtocol(undefined, inbound.portName ?? '', 0)),
    ...(found && { target: { workload: found, port: inbound.port } }),
    services: found ? services.filter((service) => service.ports.some((port) => endpointPort(found, port) === inbound.port)) : [],
  };
}

/** The registration that this very subscription made, once it is in the model. */
function registered(context: GenerateContext, { port }: InboundName): Workload | undefined {
  const { model, node } = context;
  return node.addresses
    .flatMap((address) => model.workloadsByAddress(node.namespace, address))
    .find(({ group, boundPorts }) => group === `${node.namespace}/${node.workload}` && Object.values(boundPorts ?? {}).includes(port));
}

/** A Pod or WorkloadEntry of the bound address; on a shared one (127.0.0.1) the port and the service account decide. */
function known(context: GenerateContext, { address, port }: InboundName): Workload | 'ambiguous' | undefined {
  const { model, node } = context;
  const addresses = address === '0.0.0.0' || address === '::' ? node.addresses : [address];
  const all = addresses.flatMap((candidate) => model.workloadsByAddress(node.namespace, candidate)).filter(({ group }) => group === undefined);
  if (all.length <= 1) return all[0];
  const own = all.filter(({ serviceAccount }) => serviceAccount === undefined || serviceAccount === node.serviceAccount);
  const named = own.filter(({ name }) => name === node.workload);
  const candidates = named.length > 0 ? named : own;
  const onPort = candidates.filter((workload) => leadsTo(context, workload, port));
  if (onPort.length === 1) return onPort[0];
  return candidates.length === 1 ? candidates[0] : 'ambiguous';
}

function leadsTo({ model }: GenerateContext, workload: Workload, port: number): boolean {
  if (Object.values(workload.ports).includes(port)) return true;
  return model.servicesOf(workload).some((service) => service.ports.some((servicePort) => endpointPort(workload, servicePort) === port));
}

function declared({ portName, port }: InboundName, ports: Readonly<Record<string, number>>, services: readonly Service[]): number {
  if (portName === undefined) return port;
  const own = ports[portName];
  if (own !== undefined) return own;
  const targetPort = services.flatMap((service) => service.ports).find(({ name }) => name === portName)?.targetPort;
  return (typeof targetPort === 'string' ? ports[targetPort] : targetPort) ?? port;
}
