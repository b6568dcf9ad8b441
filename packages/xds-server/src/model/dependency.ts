// The dependency keys of the model, in one place: the reader records them, the indexes put them into change sets.
import type { Dependency } from './change-set.js';

/** Receives dependencies: what a read relied on, or what a change may have altered. */
export type Touch = (dependency: Dependency) => void;

export const dependency = {
  /** Any service's specification: read only by clients that want the whole mesh. */
  services: 'services',
  service: (host: string) => `service/${host}`,
  address: (address: string) => `address/${address}`,
  endpoints: (host: string) => `endpoints/${host}`,
  accounts: (host: string) => `accounts/${host}`,
  route: (hostPattern: string) => `route/${hostPattern}`,
  /** The hosts of any rule: read only by clients that want the whole mesh. */
  routeHosts: 'route-hosts',
  routeDelegate: (namespace: string, name: string) => `delegate/${namespace}/${name}`,
  trafficPolicy: (namespace: string, hostPattern: string) => `policy/${namespace}/${hostPattern}`,
  group: (namespace: string, name: string) => `group/${namespace}/${name}`,
  workloads: (namespace: string, address: string) => `workload/${namespace}/${address}`,
  servicesOf: (workloadKey: string) => `services-of/${workloadKey}`,
  /** Services of a namespace that select by label: read only for workloads the model does not hold. */
  selectors: (namespace: string) => `selectors/${namespace}`,
  rawResource: (typeUrl: string, name: string) => `raw/${typeUrl}/${name}`,
  rawNames: (typeUrl: string) => `raw-names/${typeUrl}`,
} as const;
