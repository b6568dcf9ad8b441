import type { ConfigKind } from '../../config-kind.js';
import { modelBase } from '../../names.js';

export const namespace: ConfigKind = {
  group: '',
  kind: 'Namespace',
  versions: ['v1'],
  namespaced: false,
  normalize(object) {
    return [{ ...modelBase(object), type: 'namespace', namespace: object.metadata.name, labels: object.metadata.labels }];
  },
};
