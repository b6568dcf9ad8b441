import type { ConfigKind } from '../../config-kind.js';
import { modelBase } from '../../names.js';
import { istioVersions, networking, readSpec } from './api.js';
import { readWorkloadFields } from './workload-fields.js';

/** WorkloadGroup: what a process that registers itself is (contracts.md 2). */
export const workloadGroup: ConfigKind = {
  group: networking,
  kind: 'WorkloadGroup',
  versions: istioVersions,
  namespaced: true,
  normalize(object, context) {
    const spec = readSpec(object, context);
    const metadata = spec.object('metadata');
    const labels = metadata?.labels('labels') ?? {};
    // Annotations would go to the WorkloadEntry object, which Weft does not write anywhere.
    metadata?.labels('annotations');
    metadata?.finish();
    const template = spec.object('template');
    if (!template) spec.error('template', 'is required');
    const fields = template && readWorkloadFields(template);
    if (fields?.address) template?.warn('address', 'has no effect: each registration brings its own');
    spec.unimplemented({ probe: 'a registration lives as long as its stream, or reports its own health' });
    spec.finish();
    if (!fields) return [];
    const { address: _, labels: templateLabels, serviceAccount = 'default', ...rest } = fields;
    return [{ ...modelBase(object), type: 'workload-group', ...rest, labels: { ...templateLabels, ...labels }, serviceAccount }];
  },
};
