import type { Authorization } from './authorization.js';
import type { Dependency } from './change-set.js';
import type { EndpointIndex } from './endpoint-index.js';
import type { PeerPolicy } from './peer-policy.js';
import type { PolicyIndex } from './policy-index.js';
import type { RawIndex } from './raw-index.js';
import type { RouteIndex } from './route-index.js';
import type { ServiceIndex } from './service-index.js';
import type { TrafficPolicyIndex } from './traffic-policy-index.js';
import type { WorkloadGroup } from './workload.js';

/** What the reader looks things up in; each index says which dependencies a change of its objects touches. */
export interface ModelIndexes {
  readonly services: ServiceIndex;
  readonly endpoints: EndpointIndex;
  readonly routes: RouteIndex;
  readonly traffic: TrafficPolicyIndex;
  readonly peers: PolicyIndex<PeerPolicy>;
  readonly authorizations: PolicyIndex<Authorization>;
  readonly groups: Map<Dependency, WorkloadGroup>;
  readonly rawResources: RawIndex;
}
