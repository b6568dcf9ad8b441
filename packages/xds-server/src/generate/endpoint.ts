// ClusterLoadAssignments: the endpoints of one port of a service, or of a subset of it.
import { isIP } from 'node:net';
import { HealthStatus } from '@weft/xds-api/core';
import { ClusterLoadAssignmentSchema, type LbEndpointSchema } from '@weft/xds-api/endpoint';
import type { ServiceEndpoint } from '../model/mesh-reader.js';
import { selects } from '../model/model-object.js';
import type { Service, ServicePort } from '../model/service.js';
import { noLocality, type Workload } from '../model/workload.js';
import { clusterTarget, discovery, type ClusterTarget } from './cluster-target.js';
import { endpointSpiffeId, meshTls } from './endpoint-identity.js';
import type { GenerateContext, GeneratedResource, ProfileName } from './generator.js';
import { localityGroups } from './locality.js';
import { encode, socketAddress, type Init } from './message.js';
import { blackHoleCluster } from './name.js';
import { workloadIdentity } from './workload-metadata.js';

type AssignmentInit = Init<typeof ClusterLoadAssignmentSchema>;

export function clusterLoadAssignment(context: GenerateContext, profile: ProfileName, name: string): GeneratedResource | undefined {
  if (profile === 'grpc' && name === blackHoleCluster) return encode(ClusterLoadAssignmentSchema, { clusterName: name });
  const target = clusterTarget(context, profile, name);
  if (target === undefined || discovery(context, profile, target).kind !== 'eds') return undefined;
  return encode(ClusterLoadAssignmentSchema, loadAssignment(context, profile, target, subsetEndpoints(context, target)));
}

/** All endpoints with the subset's labels; a missing subset has none. */
export function subsetEndpoints({ model }: GenerateContext, { service, port, name, policy }: ClusterTarget): readonly ServiceEndpoint[] {
  const endpoints = model.endpoints(service, port);
  const { subset } = policy;
  if (name.subset !== '' && subset === undefined) return [];
  return subset ? endpoints.filter(({ workload }) => selects(subset.labels, workload.labels)) : endpoints;
}

export function loadAssignment(context: GenerateContext, profile: ProfileName, target: ClusterTarget, endpoints: readonly ServiceEndpoint[]): AssignmentInit {
  const usable = distinct(endpoints).filter((endpoint) => isUsable(context, profile, target, endpoint));
  return {
    clusterName: target.clusterName,
    endpoints: localityGroups(context, target.policy, usable).map(({ locality, priority, weight, endpoints: members }) => ({
      locality: { region: locality.region, zone: locality.zone, subZone: locality.subZone },
      priority,
      loadBalancingWeight: weight,
      lbEndpoints: members.map((endpoint) => lbEndpoint(context, profile, target, endpoint)),
    })),
  };
}

/** For DNS services without endpoints: the host itself. */
export function hostItself(service: Service, port: ServicePort): ServiceEndpoint {
  const { key, namespace, name, origin, createdAt, host } = service;
  const workload: Workload = {
    type: 'workload', key, namespace, name, origin, createdAt, address: host, ports: {}, labels: {}, locality: noLocality, health: 'healthy', via: 'inline',
  };
  return { workload, address: host, port: port.number };
}

function lbEndpoint(context: GenerateContext, profile: ProfileName, target: ClusterTarget, endpoint: ServiceEndpoint): Init<typeof LbEndpointSchema> {
  const { workload, address, port } = endpoint;
  const path = unixPath(address);
  return {
    hostIdentifier: {
      case: 'endpoint',
      value: { address: path === undefined ? socketAddress(address, port) : { address: { case: 'pipe', value: { path } } } },
    },
    healthStatus: healthStatuses[workload.health],
    loadBalancingWeight: workload.weight ?? 1,
    // gRPC reads no endpoint metadata of ours, and each byte of it would count as a change.
    ...(profile === 'grpc' ? {} : { metadata: { filterMetadata: endpointMetadata(context, target, endpoint) } }),
  };
}

const healthStatuses = { healthy: HealthStatus.HEALTHY, unhealthy: HealthStatus.UNHEALTHY, draining: HealthStatus.DRAINING };

function endpointMetadata(context: GenerateContext, { service, port, policy }: ClusterTarget, endpoint: ServiceEndpoint): Record<string, Record<string, string | boolean>> {
  const mode = policy.tls?.mode;
  const metadata: Record<string, Record<string, string | boolean>> = { istio: { workload: workloadIdentity(endpoint.workload) } };
  // The client's own TLS settings leave nothing to choose per endpoint.
  if (mode !== undefined && mode !== 'istio-mutual') return metadata;
  const { state } = meshTls(context, service, port, endpoint, mode === 'istio-mutual');
  const spiffeId = endpointSpiffeId(context, endpoint);
  if (state === 'mtls') metadata['envoy.transport_socket_match'] = { tlsMode: 'istio' };
  if (state === 'mtls' && spiffeId !== undefined) metadata['weft'] = { spiffe_id: spiffeId };
  if (state === 'missing') metadata['weft'] = { identity_missing: true };
  return metadata;
}

/** Go and Java refuse the whole assignment for an address that appears twice. */
function distinct(endpoints: readonly ServiceEndpoint[]): ServiceEndpoint[] {
  const seen = new Set<string>();
  return endpoints.filter(({ address, port }) => {
    const key = `${address} ${port}`;
    return !seen.has(key) && seen.add(key);
  });
}

function isUsable(context: GenerateContext, profile: ProfileName, target: ClusterTarget, endpoint: ServiceEndpoint): boolean {
  const { address, workload } = endpoint;
  const byName = discovery(context, profile, target).kind === 'dns';
  const reason = unixPath(address) !== undefined
    ? profile === 'grpc' && 'gRPC takes no Unix sockets over EDS'
    : isIP(address) === 0 && !byName && `${address} is not an IP address; give the service resolution DNS`;
  if (reason) context.warn(`${workload.origin}: left out of ${target.clusterName}: ${reason}`);
  if (reason) return false;
  // Envoy knows no identity_missing, and would speak plain text to it.
  if (profile !== 'envoy' || (target.policy.tls && target.policy.tls.mode !== 'istio-mutual')) return true;
  if (meshTls(context, target.service, target.port, endpoint, target.policy.tls !== undefined).state !== 'missing') return true;
  context.warn(`${workload.origin}: left out of ${target.clusterName}: mTLS is demanded but it has no service account`);
  return false;
}

function unixPath(address: string): string | undefined {
  return address.startsWith('unix://') ? address.slice('unix://'.length) : undefined;
}
