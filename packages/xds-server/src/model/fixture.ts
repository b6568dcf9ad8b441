// Model objects for tests: a valid one with what matters overridden.
import type { Authorization } from './authorization.js';
import type { ModelBase } from './model-base.js';
import type { PeerPolicy } from './peer-policy.js';
import type { RouteRule } from './route-rule.js';
import type { Service } from './service.js';
import type { TrafficPolicyRule } from './traffic-policy.js';
import { noLocality, type EndpointGroup, type Workload, type WorkloadGroup } from './workload.js';

function base(kind: string, namespace: string, name: string): ModelBase {
  return { key: `${kind}/${namespace}/${name}`, namespace, name, origin: `${kind} ${namespace}/${name}`, createdAt: 0 };
}

type Over<T> = Partial<Omit<T, 'type'>>;

export function service(name: string, over: Over<Service> = {}): Service {
  const namespace = over.namespace ?? 'default';
  return {
    ...base('Service', namespace, name),
    type: 'service',
    host: `${name}.${namespace}.svc.cluster.local`,
    cluster: true,
    ports: [{ number: 80, name: 'http', protocol: 'http', targetPort: 8080 }],
    addresses: [],
    exportTo: ['*'],
    location: 'internal',
    resolution: 'selector',
    selector: { app: name },
    endpoints: [],
    subjectAltNames: [],
    ...over,
  };
}

export function workload(name: string, address: string, over: Over<Workload> = {}): Workload {
  return {
    ...base(over.via ?? 'WorkloadEntry', over.namespace ?? 'default', name),
    type: 'workload',
    address,
    ports: {},
    labels: {},
    locality: noLocality,
    health: 'healthy',
    via: 'entry',
    ...over,
  };
}

export function workloadGroup(name: string, over: Over<WorkloadGroup> = {}): WorkloadGroup {
  return {
    ...base('WorkloadGroup', over.namespace ?? 'default', name),
    type: 'workload-group',
    labels: { app: name },
    serviceAccount: name,
    ports: {},
    locality: noLocality,
    network: '',
    ...over,
  };
}

export function slice(name: string, serviceName: string, over: Over<EndpointGroup> = {}): EndpointGroup {
  return {
    ...base('EndpointSlice', over.namespace ?? 'default', name),
    type: 'endpoint-group',
    service: serviceName,
    ports: { http: 8080 },
    endpoints: [],
    ...over,
  };
}

export function routeRule(name: string, hosts: readonly string[], over: Over<RouteRule> = {}): RouteRule {
  return { ...base('VirtualService', over.namespace ?? 'default', name), type: 'route-rule', hosts, exportTo: ['*'], http: [], tcp: [], tls: [], ...over };
}

export function trafficPolicy(name: string, host: string, over: Over<TrafficPolicyRule> = {}): TrafficPolicyRule {
  return {
    ...base('DestinationRule', over.namespace ?? 'default', name),
    type: 'traffic-policy',
    host,
    exportTo: ['*'],
    workloadSelector: {},
    policy: { ports: [] },
    subsets: [],
    ...over,
  };
}

export function peerPolicy(name: string, over: Over<PeerPolicy> = {}): PeerPolicy {
  return { ...base('PeerAuthentication', over.namespace ?? 'default', name), type: 'peer-policy', ports: {}, ...over };
}

export function authorization(name: string, over: Over<Authorization> = {}): Authorization {
  return { ...base('AuthorizationPolicy', over.namespace ?? 'default', name), type: 'authorization', action: 'allow', dryRun: false, rules: [], ...over };
}
