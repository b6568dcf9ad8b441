import type { ConfigKind } from '../../config-kind.js';

/** Known, so that manifests which have one are not warned about; identities come from Pods and WorkloadGroups. */
export const serviceAccount: ConfigKind = {
  group: '',
  kind: 'ServiceAccount',
  versions: ['v1'],
  namespaced: true,
  normalize: () => [],
};
