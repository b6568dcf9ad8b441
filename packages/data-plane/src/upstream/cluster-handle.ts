// A cluster as those see it who hold it: snapshots, and aggregates.
import type { UpstreamCluster } from './upstream-cluster.js';

/** `ready`: endpoints are known (maybe none). `absent`: definitely not there. `error`: no good version is known. */
export type ClusterState = 'pending' | 'ready' | 'absent' | 'error';

export interface ClusterHandle {
  readonly name: string;
  readonly cluster: UpstreamCluster | undefined;
  readonly state: ClusterState;
  /** Of the state, or of an update that was refused while the last good one stays in force. */
  readonly error: Error | undefined;
  /** Called when `state` or `cluster` changed, not for endpoints. Returns the way to stop. */
  subscribe(fn: () => void): () => void;
  /** Idempotent. With the last handle the subscriptions end; requests that have the cluster finish. */
  release(): void;
}
