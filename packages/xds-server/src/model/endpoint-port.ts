import type { ServicePort } from './service.js';
import type { Workload } from './workload.js';

/** The port of a workload that one port of a service leads to, or undefined where the workload has none for it. */
export function endpointPort(workload: Workload, port: ServicePort): number | undefined {
  if (workload.boundPorts) return boundPort(workload, workload.boundPorts, port);
  const { targetPort } = port;
  // A Pod's container port names are only what a named targetPort refers to: Kubernetes sends by targetPort.
  if (workload.via === 'pod') return typeof targetPort === 'number' ? targetPort : own(workload.ports, targetPort);
  const mapped = own(workload.ports, port.name);
  if (mapped !== undefined) return mapped;
  return typeof targetPort === 'number' ? targetPort : (own(workload.ports, targetPort) ?? port.number);
}

/** Registrations get traffic only where they listen (contracts.md 2), so there is no fallback to the declared number. */
function boundPort(workload: Workload, bound: Readonly<Record<string, number>>, port: ServicePort): number | undefined {
  const { targetPort } = port;
  const named = own(bound, port.name);
  if (named !== undefined) return named;
  if (typeof targetPort === 'string') return own(bound, targetPort);
  for (const name in bound) {
    // An ephemeral port stands for the number its group declares under the name; an undeclared one stands for itself.
    if ((own(workload.ports, name) ?? bound[name]) === targetPort) return bound[name];
  }
  return undefined;
}

/** Names come from configuration: `constructor` is a legal port name. */
export function own(ports: Readonly<Record<string, number>>, name: string): number | undefined {
  return Object.hasOwn(ports, name) ? ports[name] : undefined;
}
