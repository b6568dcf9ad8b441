import type { ModelBase } from './model-base.js';

/** An xDS resource that a file gives as it is; it is served to every client and beats a generated one of its name. */
export interface RawResource extends ModelBase {
  type: 'raw-resource';
  typeUrl: string;
  /** The name clients subscribe to (ClusterLoadAssignment: cluster_name). */
  resourceName: string;
  /** The encoded message, without its Any. */
  value: Uint8Array;
}
