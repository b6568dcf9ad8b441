// Which cluster a route forwards to. Chosen once a request: attempts of one request never move between weighted clusters.
import type { ForwardActionConfig, WeightedClusterConfig } from '../resource/route-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { randomBelow } from './random-value.js';
import type { RequestHash } from './request-hash.js';
import { firstRequestHeader } from './request-header.js';

type WeightedConfig = Extract<ForwardActionConfig['cluster'], { kind: 'weighted' }>;

/** Walks the clusters along one number in [0, total). Throws where the weights sum to zero. */
export class WeightedClusters {
  readonly #clusters: readonly WeightedClusterConfig[];
  readonly #total: number;
  readonly #header: string;
  readonly #random: () => number;
  readonly #hash: RequestHash | undefined;

  /** `hash`: where the hash of the route takes the place of the random number. */
  constructor(config: WeightedConfig, random: () => number, hash?: RequestHash) {
    this.#hash = hash;
    this.#clusters = config.clusters;
    this.#total = config.clusters.reduce((sum, { weight }) => sum + weight, 0);
    if (this.#total < 1) throw new Error('the weights of weighted_clusters must sum to 1 or more');
    this.#header = config.headerName.toLowerCase();
    this.#random = random;
  }

  /** Index of the chosen cluster. */
  choose(head: RequestHead, info: StreamInfo): number {
    let left = this.#number(head, info);
    for (let i = 0; i < this.#clusters.length; i++) {
      left -= (this.#clusters[i] as WeightedClusterConfig).weight;
      if (left < 0) return i;
    }
    return this.#clusters.length - 1;
  }

  #number(head: RequestHead, info: StreamInfo): number {
    if (this.#header !== '') {
      const given = firstRequestHeader(head, this.#header);
      // Several proxies in a row agree on this number; what is no uint64 falls back to our own.
      if (given !== undefined && /^\d{1,20}$/.test(given)) return Number(BigInt(given) % BigInt(this.#total));
    }
    const hash = this.#hash?.(head, info).hash;
    if (hash !== undefined) return Number(hash % BigInt(this.#total));
    return randomBelow(info, this.#total, this.#random);
  }
}
