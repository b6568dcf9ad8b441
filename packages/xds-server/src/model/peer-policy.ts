import type { ModelBase } from './model-base.js';

export type MtlsMode = 'strict' | 'permissive' | 'disable';

/** A PeerAuthentication. Scope: a workload (selector), its namespace, or the mesh (root namespace). */
export interface PeerPolicy extends ModelBase {
  type: 'peer-policy';
  /** Absent: the whole namespace. */
  selector?: Readonly<Record<string, string>>;
  /** Absent = UNSET: inherits. */
  mode?: MtlsMode;
  /** By workload port. Absent value = UNSET. */
  ports: Readonly<Record<number, MtlsMode | undefined>>;
}
