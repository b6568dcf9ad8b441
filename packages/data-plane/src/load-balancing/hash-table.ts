import type { Host } from '../upstream/host.js';

export interface WeightedHost {
  readonly host: Host;
  /** What the host is hashed by. */
  readonly key: string;
  /** Its share: all of them sum to 1, less where localities that have weight have no usable host. */
  readonly weight: number;
}

/** Chooses by a number of 64 bits; `reselection` above 0 asks for another host than the ones before. */
export type HashTable = (hash: bigint, reselection: number) => Host;
