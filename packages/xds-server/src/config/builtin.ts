import type { ConfigKind } from './config-kind.js';
import { authorizationPolicy } from './kinds/istio/authorization-policy.js';
import { destinationRule } from './kinds/istio/destination-rule.js';
import { peerAuthentication } from './kinds/istio/peer-authentication.js';
import { serviceEntry } from './kinds/istio/service-entry.js';
import { virtualService } from './kinds/istio/virtual-service.js';
import { workloadEntry } from './kinds/istio/workload-entry.js';
import { workloadGroup } from './kinds/istio/workload-group.js';
import { endpointSlice } from './kinds/kubernetes/endpoint-slice.js';
import { namespace } from './kinds/kubernetes/namespace.js';
import { pod } from './kinds/kubernetes/pod.js';
import { service } from './kinds/kubernetes/service.js';
import { serviceAccount } from './kinds/kubernetes/service-account.js';
import { rawResource } from './raw-resource.js';

/** Every kind of configuration the control plane knows. */
export const builtinKinds: readonly ConfigKind[] = [
  service, endpointSlice, pod, namespace, serviceAccount,
  serviceEntry, workloadEntry, workloadGroup, virtualService, destinationRule, peerAuthentication, authorizationPolicy,
  rawResource,
];
