// ClusterLoadAssignment: endpoints by locality and priority. The hottest decoder: a rollout of a large service sends thousands.
import { fromBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import { HealthStatus as Health, SocketAddress_Protocol, SocketAddressSchema, type Address, type Metadata } from '@weft/xds-api/core';
import {
  ClusterLoadAssignment_Policy_DropOverloadSchema,
  ClusterLoadAssignment_PolicySchema,
  ClusterLoadAssignmentSchema,
  Endpoint_AdditionalAddressSchema,
  Endpoint_HealthCheckConfigSchema,
  EndpointSchema,
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
  type ClusterLoadAssignment,
  type ClusterLoadAssignment_Policy,
  type Endpoint_AdditionalAddress,
  type Endpoint_HealthCheckConfig,
  type LbEndpoint,
  type LocalityLbEndpoints,
} from '@weft/xds-api/endpoint';
import { isIP } from 'node:net';
import type { ResourceType } from '../xds/resource-type.js';
import type { EndpointConfig, EndpointHealthCheckConfig, EndpointsConfig, HealthStatus, HostAddress, LocalityEndpointsConfig } from './cluster-config.js';
import type { EndpointPolicy } from './endpoint-policy.js';
import { deepFreeze } from './freeze.js';
import { join, knownFields, Report } from './report.js';
import { filterMetadata, fraction, maxTotalWeight, workloadOf } from './value.js';

const assignmentFields = knownFields(ClusterLoadAssignmentSchema, ['cluster_name', 'endpoints', 'policy']);
const policyFields = knownFields(ClusterLoadAssignment_PolicySchema, ['drop_overloads', 'overprovisioning_factor']);
const dropFields = knownFields(ClusterLoadAssignment_Policy_DropOverloadSchema, ['category', 'drop_percentage']);
const localityFields = knownFields(LocalityLbEndpointsSchema, ['locality', 'lb_endpoints', 'load_balancing_weight', 'priority'], ['metadata', 'proximity']);
const lbEndpointFields = knownFields(LbEndpointSchema, ['endpoint', 'health_status', 'metadata', 'load_balancing_weight']);
const endpointFields = knownFields(EndpointSchema, ['address', 'hostname', 'health_check_config', 'additional_addresses'], ['observability_name']);
const additionalFields = knownFields(Endpoint_AdditionalAddressSchema, ['address']);
const healthFields = knownFields(Endpoint_HealthCheckConfigSchema, ['port_value', 'hostname', 'address', 'disable_active_health_check']);
const addressFields = knownFields(SocketAddressSchema, ['protocol', 'address', 'port_value'], ['ipv4_compat'], ['named_port']);

export interface AssignmentOptions {
  readonly policy: EndpointPolicy;
  /** `eds`: gRPC's rules. `static`, `dns`: inline, where localities and weights may be left out (and addresses be names). */
  readonly source: 'eds' | 'static' | 'dns';
}

export function endpointType({ policy }: { policy: EndpointPolicy }): ResourceType<EndpointsConfig> {
  return {
    typeUrl: typeUrl(ClusterLoadAssignmentSchema),
    name: 'ClusterLoadAssignment',
    fullState: false,
    decode(value) {
      const assignment = fromBinary(ClusterLoadAssignmentSchema, value);
      const report = new Report();
      if (assignment.clusterName === '') report.add('cluster_name', 'must not be empty');
      const resource = decodeAssignment(assignment, '', { policy, source: 'eds' }, report);
      report.finish(`ClusterLoadAssignment ${assignment.clusterName}`);
      return { name: assignment.clusterName, resource: deepFreeze(resource) };
    },
  };
}

export function decodeAssignment(assignment: ClusterLoadAssignment, path: string, options: AssignmentOptions, report: Report): EndpointsConfig {
  report.check(assignmentFields, assignment, path);
  const localities = assignment.endpoints.flatMap((locality, i) => decodeLocality(locality, join(path, `endpoints[${i}]`), options, report) ?? []);
  checkLocalities(localities, join(path, 'endpoints'), report);
  return { clusterName: assignment.clusterName, localities, ...decodePolicy(assignment.policy, join(path, 'policy'), report) };
}

function decodePolicy(policy: ClusterLoadAssignment_Policy | undefined, path: string, report: Report): Pick<EndpointsConfig, 'drops' | 'overprovisioningFactor'> {
  if (!policy) return { drops: [], overprovisioningFactor: 140 };
  report.check(policyFields, policy, path);
  const drops = policy.dropOverloads.flatMap((drop, i) => {
    const at = `${path}.drop_overloads[${i}]`;
    report.check(dropFields, drop, at);
    if (drop.category === '') report.add(join(at, 'category'), 'must not be empty');
    const part = fraction(drop.dropPercentage, join(at, 'drop_percentage'), report);
    return part ? [{ category: drop.category, ...part }] : [];
  });
  if (policy.overprovisioningFactor === 0) report.add(join(path, 'overprovisioning_factor'), 'must be greater than 0');
  return { drops, overprovisioningFactor: policy.overprovisioningFactor ?? 140 };
}

/** Undefined for a locality without weight, which gRPC and Envoy's weighted balancing leave out. */
function decodeLocality(locality: LocalityLbEndpoints, path: string, options: AssignmentOptions, report: Report): LocalityEndpointsConfig | undefined {
  report.check(localityFields, locality, path);
  const weight = locality.loadBalancingWeight ?? (options.source === 'eds' ? 0 : 1);
  if (weight === 0) return undefined;
  if (!locality.locality && options.source === 'eds') report.add(join(path, 'locality'), 'is required');
  const { region = '', zone = '', subZone = '' } = locality.locality ?? {};
  if (locality.priority > 128) report.add(join(path, 'priority'), 'must be 0 to 128');
  const endpoints = locality.lbEndpoints.flatMap((endpoint, i) => decodeEndpoint(endpoint, `${path}.lb_endpoints[${i}]`, options, report) ?? []);
  return { region, zone, subZone, weight, priority: locality.priority, endpoints };
}

function decodeEndpoint(lbEndpoint: LbEndpoint, path: string, options: AssignmentOptions, report: Report): EndpointConfig | undefined {
  report.check(lbEndpointFields, lbEndpoint, path);
  if (lbEndpoint.hostIdentifier.case !== 'endpoint') {
    report.add(join(path, 'endpoint'), 'is required');
    return undefined;
  }
  const endpoint = lbEndpoint.hostIdentifier.value;
  report.check(endpointFields, endpoint, join(path, 'endpoint'));
  const at = decodeAddress(endpoint.address, join(path, 'endpoint.address'), options, report);
  if (!at) return undefined;
  const weight = lbEndpoint.loadBalancingWeight ?? 1;
  if (weight === 0) report.add(join(path, 'load_balancing_weight'), 'must be 1 or more');
  const healthCheck = endpoint.healthCheckConfig && decodeHealthCheck(endpoint.healthCheckConfig, join(path, 'endpoint.health_check_config'), options, report);
  const { additionalAddresses } = endpoint;
  return { ...at, ...(additionalAddresses.length > 0 && { additionalAddresses: decodeAdditional(additionalAddresses, join(path, 'endpoint.additional_addresses'), options, report) }), hostname: endpoint.hostname, weight, health: healthOf(lbEndpoint.healthStatus), ...(healthCheck && { healthCheck }), ...decodeMetadata(lbEndpoint.metadata, join(path, 'metadata'), report) };
}

function decodeAdditional(list: readonly Endpoint_AdditionalAddress[], path: string, options: AssignmentOptions, report: Report): HostAddress[] {
  return list.flatMap((additional, i) => {
    const at = `${path}[${i}]`;
    report.check(additionalFields, additional, at);
    return decodeAddress(additional.address, join(at, 'address'), { ...options, source: 'eds' }, report) ?? [];
  });
}

/** Port 0 stands for the port of the endpoint's own address. */
function decodeHealthCheck(config: Endpoint_HealthCheckConfig, path: string, options: AssignmentOptions, report: Report): EndpointHealthCheckConfig {
  report.check(healthFields, config, path);
  const at = config.address && decodeAddress(config.address, join(path, 'address'), { ...options, source: 'static' }, report);
  if (config.portValue > 65_535) report.add(join(path, 'port_value'), 'must be 0 to 65535');
  if (at && config.portValue > 0) report.add(path, 'address and port_value must not both be set');
  const port = at?.port ?? config.portValue;
  return { ...(at && { address: at.address }), ...(port > 0 && { port }), ...(config.hostname !== '' && { hostname: config.hostname }), disabled: config.disableActiveHealthCheck };
}

function decodeAddress(message: Address | undefined, addressPath: string, options: AssignmentOptions, report: Report): { address: string; port: number } | undefined {
  const socket = message?.address;
  // A pipe would let the control plane send requests to any socket of this machine.
  if (socket?.case !== 'socketAddress') {
    report.add(addressPath, socket?.case ? 'only socket_address is supported' : 'socket_address is required');
    return undefined;
  }
  const { address, portSpecifier, protocol } = socket.value;
  const socketPath = join(addressPath, 'socket_address');
  report.check(addressFields, socket.value, socketPath);
  if (protocol !== SocketAddress_Protocol.TCP) report.add(join(socketPath, 'protocol'), 'must be TCP');
  if (options.source === 'dns' ? address === '' : isIP(address) === 0) report.add(join(socketPath, 'address'), `${JSON.stringify(address)} is not an IP address`);
  const refusal = options.policy(address);
  if (refusal !== undefined) report.add(join(socketPath, 'address'), `${address}: ${refusal}`);
  const port = portSpecifier.case === 'portValue' ? portSpecifier.value : 0;
  if (port < 1 || port > 65_535) report.add(join(socketPath, 'port_value'), 'must be 1 to 65535');
  return { address, port };
}

function decodeMetadata(message: Metadata | undefined, path: string, report: Report): Pick<EndpointConfig, 'metadata' | 'spiffeId' | 'identityMissing' | 'workload'> {
  const metadata = filterMetadata(message);
  const weft = metadata['weft'];
  const workload = workloadOf(metadata);
  const spiffeId = weft?.['spiffe_id'];
  const missing = weft?.['identity_missing'];
  // Both decide whether plain text may be spoken: a value that cannot be read must not count as unset.
  if (spiffeId !== undefined && (typeof spiffeId !== 'string' || !spiffeId.startsWith('spiffe://'))) report.add(join(path, 'filter_metadata["weft"].spiffe_id'), 'is not a SPIFFE ID');
  if (missing !== undefined && typeof missing !== 'boolean') report.add(join(path, 'filter_metadata["weft"].identity_missing'), 'must be true or false');
  return { metadata, ...(typeof spiffeId === 'string' && { spiffeId }), identityMissing: missing === true, ...(workload && { workload }) };
}

const healthNames: Readonly<Record<number, HealthStatus>> = {
  [Health.UNKNOWN]: 'unknown', [Health.HEALTHY]: 'healthy', [Health.UNHEALTHY]: 'unhealthy', [Health.DRAINING]: 'draining', [Health.TIMEOUT]: 'timeout', [Health.DEGRADED]: 'degraded',
};

// A status of a newer Envoy: certainly not one under which it is sent traffic.
export function healthOf(status: Health): HealthStatus {
  return healthNames[status] ?? 'unhealthy';
}

// gRFC A27: counted over localities that have a weight.
function checkLocalities(localities: readonly LocalityEndpointsConfig[], path: string, report: Report): void {
  const byPriority = new Map<number, { names: Set<string>; weight: number }>();
  const addresses = new Set<string>();
  for (const { region, zone, subZone, weight, priority, endpoints } of localities) {
    let group = byPriority.get(priority);
    if (!group) byPriority.set(priority, (group = { names: new Set(), weight: 0 }));
    const name = JSON.stringify([region, zone, subZone]);
    if (group.names.has(name)) report.add(path, `priority ${priority} has the locality ${name} twice`);
    group.names.add(name);
    group.weight += weight;
    let endpointWeight = 0;
    for (const endpoint of endpoints) {
      const key = `${endpoint.address} ${endpoint.port}`;
      if (addresses.has(key)) report.add(path, `the address ${endpoint.address}:${endpoint.port} is there twice`);
      addresses.add(key);
      endpointWeight += endpoint.weight;
    }
    if (endpointWeight > maxTotalWeight) report.add(path, `the weights of the endpoints of locality ${name} sum to more than ${maxTotalWeight}`);
  }
  for (let priority = 0; priority < byPriority.size; priority++) {
    if (!byPriority.has(priority)) report.add(path, `priorities must be contiguous from 0: ${priority} is missing`);
  }
  for (const [priority, { weight }] of byPriority) {
    if (weight > maxTotalWeight) report.add(path, `the weights of priority ${priority} sum to more than ${maxTotalWeight}`);
  }
}
