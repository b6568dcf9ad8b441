// What the control plane must know of one kind of configuration object. One file a kind, one line in builtin.ts.
import type { ModelObject } from '../model/model-object.js';
import type { ConfigObject } from './config-object.js';

export interface ConfigKind {
  /** API group (`networking.istio.io`; empty for Kubernetes' core). */
  group: string;
  kind: string;
  /** All served versions mean the same. */
  versions: readonly string[];
  /** Whether objects without a namespace belong to `default`. */
  namespaced: boolean;
  /**
   * Turns one valid object into model objects. `report` takes problems by field path: any `error` rejects the object.
   * Every field that is set and not implemented must be reported here (warning; error where ignoring it would be unsafe).
   */
  normalize(object: ConfigObject, context: NormalizeContext): readonly ModelObject[];
}

export interface NormalizeContext {
  /** The namespace of mesh-wide policies, `istio-system`. */
  rootNamespace: string;
  /** `cluster.local`. */
  trustDomain: string;
  /** The DNS suffix of Kubernetes services, `cluster.local`. */
  clusterDomain: string;
  error(field: string, reason: string): void;
  warn(field: string, reason: string): void;
}
