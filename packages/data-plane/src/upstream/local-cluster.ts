// The cluster that this process is a host of, followed for as long as some cluster balances by zone.
import type { LocalityHosts } from '../load-balancing/locality-picker.js';
import type { LocalCluster } from '../load-balancing/zone-aware-picker.js';
import type { ClusterHandle } from './cluster-handle.js';
import { Cluster } from './cluster.js';

export interface LocalClusterOptions {
  readonly name: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
}

export class FollowedLocalCluster implements LocalCluster {
  readonly locality: string;
  readonly #acquire: () => ClusterHandle;
  readonly #listeners = new Set<() => void>();
  #handle: ClusterHandle | undefined;
  #followed: Cluster | undefined;
  #unfollow: (() => void) | undefined;

  constructor({ locality: { region, zone, subZone } }: LocalClusterOptions, acquire: () => ClusterHandle) {
    this.locality = `${region}/${zone}/${subZone}`;
    this.#acquire = acquire;
  }

  localities(): readonly LocalityHosts[] {
    return this.#followed?.priorities[0]?.localities ?? [];
  }

  subscribe(changed: () => void): () => void {
    this.#listeners.add(changed);
    if (!this.#handle) this.#follow();
    return () => {
      if (!this.#listeners.delete(changed) || this.#listeners.size > 0) return;
      this.#unfollow?.();
      this.#unfollow = undefined;
      this.#followed = undefined;
      this.#handle?.release();
      this.#handle = undefined;
    };
  }

  #follow(): void {
    const handle = this.#acquire();
    this.#handle = handle;
    const look = () => {
      const cluster = handle.cluster instanceof Cluster ? handle.cluster : undefined;
      if (cluster === this.#followed) return;
      this.#unfollow?.();
      this.#followed = cluster;
      this.#unfollow = cluster?.subscribe(() => this.#tell());
      this.#tell();
    };
    handle.subscribe(look);
    look();
  }

  #tell(): void {
    for (const changed of this.#listeners) changed();
  }
}
