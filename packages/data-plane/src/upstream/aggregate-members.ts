import { AggregateCluster } from './aggregate-cluster.js';
import type { Cluster } from './cluster.js';
import type { ClusterHandle } from './cluster-handle.js';

/** Follows the clusters that an aggregate names. Those among them that are aggregates stand for their own members. */
export class AggregateMembers {
  readonly names: readonly string[];
  readonly #handles: readonly ClusterHandle[];
  #released = false;

  /** `onChange` gets those that are there; `settled`: the others are known not to be. Also called by the constructor. */
  constructor(manager: { acquire(name: string): ClusterHandle }, names: readonly string[], onChange: (members: readonly Cluster[], settled: boolean) => void) {
    this.names = names;
    let made = false;
    const tell = () => {
      if (made && !this.#released) onChange(this.#present(), this.#handles.every(({ state }) => state !== 'pending'));
    };
    this.#handles = names.map((name) => {
      const handle = manager.acquire(name);
      handle.subscribe(tell);
      return handle;
    });
    made = true;
    tell();
  }

  release(): void {
    this.#released = true;
    for (const handle of this.#handles) handle.release();
  }

  /** One that is reached twice keeps its first place. */
  #present(): Cluster[] {
    const members = this.#handles.flatMap(({ cluster }) => (cluster instanceof AggregateCluster ? cluster.members : cluster ? [cluster as Cluster] : []));
    return [...new Set(members)];
  }
}
