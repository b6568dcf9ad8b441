// Clusters that only requests name (`cluster_header`): followed from the first request that names one.
import type { Clock } from '@weft/spiffe';
import type { ClusterHandle, ClusterManager } from '../upstream/cluster-manager.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';

export interface DynamicClustersOptions {
  /** How many are followed at once. Default 100; the one unused longest makes room: names come from headers, and a process must not grow with them. */
  most?: number;
  /** How long a request waits for a cluster that is not known yet, milliseconds. Default 15,000, as for a name that is dialled. */
  waitMs?: number;
}

interface Followed {
  readonly handle: ClusterHandle;
  /** Of requests that wait for it. */
  readonly waiting: Set<() => void>;
}

export class DynamicClusters {
  readonly #clusters: Pick<ClusterManager, 'acquire'>;
  readonly #clock: Clock;
  readonly #most: number;
  readonly #waitMs: number;
  /** In the order of their last use. */
  readonly #followed = new Map<string, Followed>();

  constructor(clusters: Pick<ClusterManager, 'acquire'>, clock: Clock, { most = 100, waitMs = 15_000 }: DynamicClustersOptions = {}) {
    this.#clusters = clusters;
    this.#clock = clock;
    this.#most = most;
    this.#waitMs = waitMs;
  }

  /** Undefined: it does not exist. A promise where that is not known yet. */
  get(name: string): UpstreamCluster | undefined | Promise<UpstreamCluster | undefined> {
    let followed = this.#followed.get(name);
    if (followed) this.#followed.delete(name);
    else {
      if (this.#followed.size >= this.#most) this.#forget(this.#followed.keys().next().value!);
      followed = { handle: this.#clusters.acquire(name), waiting: new Set() };
    }
    this.#followed.set(name, followed);
    const { handle } = followed;
    return handle.state === 'pending' ? this.#wait(followed) : handle.cluster;
  }

  /** Why a cluster is not there, as far as it is known. */
  error(name: string): Error | undefined {
    return this.#followed.get(name)?.handle.error;
  }

  close(): void {
    for (const name of [...this.#followed.keys()]) this.#forget(name);
  }

  #wait({ handle, waiting }: Followed): Promise<UpstreamCluster | undefined> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        stop();
        waiting.delete(done);
        resolve(handle.cluster);
      };
      const timer = this.#clock.setTimeout(done, this.#waitMs);
      const stop = handle.subscribe(() => {
        if (handle.state !== 'pending') done();
      });
      waiting.add(done);
    });
  }

  #forget(name: string): void {
    const followed = this.#followed.get(name)!;
    this.#followed.delete(name);
    for (const done of [...followed.waiting]) done();
    followed.handle.release();
  }
}
