import { isIP } from 'node:net';
import type { ConfigKind } from '../../config-kind.js';
import { hostProblem, modelBase } from '../../names.js';
import { istioVersions, networking, readSpec } from './api.js';
import { readWorkloadFields } from './workload-fields.js';

export const workloadEntry: ConfigKind = {
  group: networking,
  kind: 'WorkloadEntry',
  versions: istioVersions,
  namespaced: true,
  normalize(object, context) {
    const spec = readSpec(object, context);
    const { network: _, labels, ...fields } = readWorkloadFields(spec);
    const problem = addressProblem(fields.address);
    if (problem) spec.error('address', problem);
    // The object's own labels count too and win (Istio, ConvertWorkloadEntry).
    return [{ ...modelBase(object), type: 'workload', ...fields, labels: { ...labels, ...object.metadata.labels }, health: 'healthy', via: 'entry' }];
  },
};

/** IP address, DNS name, or `unix:///path`. */
export function addressProblem(address: string): string | undefined {
  if (address === '') return 'is required (an entry known only by its network is not implemented)';
  if (isIP(address)) return undefined;
  if (address.startsWith('unix:')) return /^unix:\/\/(\/|@)./.test(address) ? undefined : 'must be unix:// and an absolute path';
  return address.includes('*') ? 'cannot be a wildcard' : hostProblem(address);
}
