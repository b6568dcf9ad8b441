// The mesh model: what every front end normalises into and every generator reads. Plain immutable data.
import type { ModelBase } from './model-base.js';
import type { Authorization } from './authorization.js';
import type { PeerPolicy } from './peer-policy.js';
import type { RawResource } from './raw-resource.js';
import type { RouteDelegate, RouteRule } from './route-rule.js';
import type { Service } from './service.js';
import type { TrafficPolicyRule } from './traffic-policy.js';
import type { EndpointGroup, Workload, WorkloadGroup } from './workload.js';

export { byAge, selects, type ModelBase } from './model-base.js';

export type ModelObject =
  | Service
  | Workload
  | WorkloadGroup
  | EndpointGroup
  | RouteRule
  | RouteDelegate
  | TrafficPolicyRule
  | PeerPolicy
  | Authorization
  | RawResource
  | MeshNamespace;

export interface MeshNamespace extends ModelBase {
  type: 'namespace';
  labels: Readonly<Record<string, string>>;
}
