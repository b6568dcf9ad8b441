// How Istio's telemetry names a workload and a service inside xDS metadata.
import type { Service } from '../model/service.js';
import type { Workload } from '../model/workload.js';

/** Istio's name for the cluster where none is configured. */
const clusterId = 'Kubernetes';

/** `WORKLOAD;NAMESPACE;CANONICAL_SERVICE;CANONICAL_REVISION;CLUSTER`. */
export function workloadIdentity({ name, namespace, labels, group }: Pick<Workload, 'name' | 'namespace' | 'labels' | 'group'>): string {
  // All processes of a group are one workload, as all Pods of a Deployment are.
  const workload = group?.split('/')[1] ?? name;
  const service = labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? workload;
  const revision = labels['service.istio.io/canonical-revision'] ?? labels['app.kubernetes.io/version'] ?? labels['version'] ?? 'latest';
  return [workload, namespace, service, revision, clusterId].join(';');
}

export function serviceMetadata({ host, name, namespace }: Service): Record<string, string> {
  return { host, name, namespace };
}
