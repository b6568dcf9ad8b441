// What is known of the endpoint's side of TLS: whether it speaks mesh mTLS, must, and as whom.
import type { ServiceEndpoint } from '../model/mesh-reader.js';
import type { Service, ServicePort } from '../model/service.js';
import type { GenerateContext } from './generator.js';
import { spiffeId } from './name.js';

export interface MeshTls {
  /**
   * `mtls`: it has an identity and its port is not DISABLE. `missing`: mTLS is demanded of it, but it has no identity to
   * expect. `plain`: neither.
   */
  state: 'mtls' | 'missing' | 'plain';
  /** Plain text would be refused, or is forbidden by the client's own policy. */
  demanded: boolean;
}

/** @param byClient the client's DestinationRule says ISTIO_MUTUAL. */
export function meshTls(context: GenerateContext, service: Service, port: ServicePort, endpoint: ServiceEndpoint, byClient: boolean): MeshTls {
  const { workload } = endpoint;
  // What lies outside the mesh has no policy of ours.
  const mode = service.location === 'external' ? 'disable' : context.model.mtlsMode(workload, declaredPort(endpoint, port));
  const demanded = byClient || mode === 'strict';
  if (workload.serviceAccount === undefined) return { state: demanded ? 'missing' : 'plain', demanded };
  return { state: mode === 'disable' && !byClient ? 'plain' : 'mtls', demanded };
}

export function endpointSpiffeId(context: GenerateContext, { workload }: ServiceEndpoint): string | undefined {
  return workload.serviceAccount === undefined ? undefined : spiffeId(context.model.settings.trustDomain, workload.namespace, workload.serviceAccount);
}

/** The SPIFFE IDs that any endpoint of a service may show (per service, not per subset), and its subjectAltNames. */
export function expectedIdentities({ model }: GenerateContext, service: Service): string[] {
  const accounts = model.serviceAccounts(service).map((account) => {
    const [namespace = '', name = ''] = account.split('/');
    return spiffeId(model.settings.trustDomain, namespace, name);
  });
  return [...new Set([...accounts, ...service.subjectAltNames])].sort();
}

/** The port that policies mean: where a registration bound an ephemeral one, the number its group declares for it (contracts.md 2). */
function declaredPort({ workload, port }: ServiceEndpoint, { name, targetPort }: ServicePort): number {
  const { boundPorts, ports } = workload;
  if (boundPorts === undefined) return port;
  const portName = Object.keys(boundPorts).find((candidate) => boundPorts[candidate] === port) ?? name;
  return ports[portName] ?? (typeof targetPort === 'number' ? targetPort : ports[targetPort]) ?? port;
}
