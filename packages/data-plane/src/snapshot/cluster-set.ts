import type { ClusterHandle, ClusterManager } from '../upstream/cluster-manager.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';

/** The clusters that one route table names, held until released. */
export class ClusterSet {
  readonly #handles: readonly ClusterHandle[];
  #released = false;

  /** `onChange` is told when a cluster came, went or settled, never while this constructor runs. */
  constructor(clusters: Pick<ClusterManager, 'acquire'>, names: Iterable<string>, onChange: () => void) {
    let ready = false;
    this.#handles = [...names].map((name) => {
      const handle = clusters.acquire(name);
      handle.subscribe(() => {
        if (ready && !this.#released) onChange();
      });
      return handle;
    });
    ready = true;
  }

  /** Whether each is ready or known not to be: a missing one must not hold up the others for ever. */
  get settled(): boolean {
    return this.#handles.every(({ state }) => state !== 'pending');
  }

  present(): ReadonlyMap<string, UpstreamCluster> {
    const found = new Map<string, UpstreamCluster>();
    for (const { name, cluster } of this.#handles) if (cluster) found.set(name, cluster);
    return found;
  }

  /** What is known of those that are not there, by name. */
  missing(): ReadonlyMap<string, Error> {
    const found = new Map<string, Error>();
    for (const { name, cluster, error } of this.#handles) if (!cluster && error) found.set(name, error);
    return found;
  }

  release(): void {
    this.#released = true;
    for (const handle of this.#handles) handle.release();
  }
}
