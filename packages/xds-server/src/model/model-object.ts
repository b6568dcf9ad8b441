// The mesh model: what every front end normalises into and every generator reads. Plain immutable data.
import type { Authorization } from './authorization.js';
import type { PeerPolicy } from './peer-policy.js';
import type { RawResource } from './raw-resource.js';
import type { RouteRule } from './route-rule.js';
import type { Service } from './service.js';
import type { TrafficPolicyRule } from './traffic-policy.js';
import type { EndpointGroup, Workload, WorkloadGroup } from './workload.js';

export type ModelObject =
  | Service
  | Workload
  | WorkloadGroup
  | EndpointGroup
  | RouteRule
  | TrafficPolicyRule
  | PeerPolicy
  | Authorization
  | RawResource
  | MeshNamespace;

/** What all model objects share. */
export interface ModelBase {
  /** Unique among objects of its type: usually `namespace/name` with a prefix of the front end's choice. */
  key: string;
  namespace: string;
  name: string;
  /** For messages and `weft generate`: `VirtualService default/payments`. */
  origin: string;
  /** Milliseconds since the epoch; see `byAge`. */
  createdAt: number;
}

export interface MeshNamespace extends ModelBase {
  type: 'namespace';
  labels: Readonly<Record<string, string>>;
}

/** Istio's order where the first of several wins: creation time, then name, then namespace. */
export function byAge(a: ModelBase, b: ModelBase): number {
  return a.createdAt - b.createdAt || compare(a.name, b.name) || compare(a.namespace, b.namespace);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether every label of the selector is present with its value. An empty selector selects everything. */
export function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  for (const name in selector) if (labels[name] !== selector[name]) return false;
  return true;
}
