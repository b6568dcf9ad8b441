// What a cluster's name stands for, and how its endpoints are found.
import { isIP } from 'node:net';
import type { ServiceEndpoint } from '../model/mesh-reader.js';
import type { Service, ServicePort } from '../model/service.js';
import type { GenerateContext, ProfileName } from './generator.js';
import { parseOutboundName, type OutboundName } from './name.js';
import { hasCluster, visibleService } from './outbound-target.js';
import { effectivePolicy, type EffectivePolicy } from './traffic-policy.js';

export interface ClusterTarget {
  clusterName: string;
  name: OutboundName;
  service: Service;
  port: ServicePort;
  policy: EffectivePolicy;
}

export function clusterTarget(context: GenerateContext, profile: ProfileName, clusterName: string): ClusterTarget | undefined {
  const name = parseOutboundName(clusterName);
  const service = name && visibleService(context, name.host);
  const port = service?.ports.find(({ number }) => number === name?.port);
  if (name === undefined || service === undefined || port === undefined) return undefined;
  if (!hasCluster(service, port)) {
    context.warn(`${service.origin}: resolution ${service.resolution} of ${service.host} makes no cluster`);
    return undefined;
  }
  const policy = effectivePolicy(context, service, name.subset, port.number);
  if (name.subset !== '' && policy.subset === undefined) {
    context.warn(`${policy.rule?.origin ?? service.origin}: no subset ${name.subset} of ${service.host}: its requests fail with 503`);
    // gRPC holds a whole update back for 15 s while any cluster of it is missing; an empty one fails only its own calls.
    if (profile !== 'grpc') return undefined;
  }
  return { clusterName, name, service, port, policy };
}

export type Discovery = { kind: 'eds' } | { kind: 'dns'; logical: boolean } | { kind: 'dynamic' } | { kind: 'none'; reason: string };

export function discovery({ model }: GenerateContext, profile: ProfileName, { service, port, name, policy }: ClusterTarget): Discovery {
  const { resolution } = service;
  const subsetMissing = name.subset !== '' && policy.subset === undefined;
  if (resolution === 'dynamic-dns') return profile === 'grpc' ? { kind: 'none', reason: `gRPC clients resolve no names under ${service.host}` } : { kind: 'dynamic' };
  if (subsetMissing || (resolution !== 'dns' && resolution !== 'logical-dns')) return { kind: 'eds' };
  if (profile !== 'grpc') return { kind: 'dns', logical: resolution === 'logical-dns' };
  // gRPC knows names only as LOGICAL_DNS with exactly one endpoint.
  const endpoints: readonly ServiceEndpoint[] = model.endpoints(service, port);
  if (endpoints.length > 0 && endpoints.every(({ address }) => isIP(address) !== 0)) return { kind: 'eds' };
  if (endpoints.length <= 1) return { kind: 'dns', logical: true };
  return { kind: 'none', reason: `gRPC resolves one DNS name a cluster, ${service.host} has ${endpoints.length}` };
}
