/** One stored value. `revision` is the store-wide revision of the write that made it. */
export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

export interface Change {
  readonly type: 'put' | 'delete';
  readonly key: string;
  /** Present for `put`. */
  readonly value?: Uint8Array;
  readonly revision: number;
}

export interface PutOptions {
  /** Write only when the key is at this revision; 0 = only when the key does not exist. */
  readonly ifRevision?: number;
  /** The key disappears with this lease. A put without a lease detaches the key from an earlier one. */
  readonly lease?: Lease;
}

/** While a lease is kept alive its keys stay; when it runs out they are deleted, and watchers see the deletes. */
export interface Lease {
  readonly id: string;
  /** Starts the lease's time anew. Rejects with {@link LeaseExpired} when it is already gone. */
  keepAlive(): Promise<void>;
  /** Deletes the lease's keys now. */
  revoke(): Promise<void>;
}

/**
 * Keys with values, ordered by one store-wide revision that grows with every change. Keys are `/`-separated strings. Every
 * operation is atomic by itself; compare-and-set by `ifRevision` is what larger changes are built on (as in etcd).
 */
export interface Store {
  get(key: string): Promise<Entry | undefined>;
  /** @returns the new revision. Rejects with {@link RevisionConflict} when `ifRevision` does not hold. */
  put(key: string, value: Uint8Array, options?: PutOptions): Promise<number>;
  /** @returns whether the key existed. Rejects with {@link RevisionConflict} when `ifRevision` does not hold. */
  delete(key: string, options?: { readonly ifRevision?: number }): Promise<boolean>;
  /** Entries whose key starts with `prefix`, by key, and the store's revision at that moment (to watch from). */
  list(prefix: string): Promise<{ entries: Entry[]; revision: number }>;
  /**
   * Changes below `prefix`, from the moment of the call or, with `fromRevision`, all after that revision (pass what `list`
   * returned). Ends when the signal aborts or the store closes. Throws {@link RevisionCompacted} when the changes since then are
   * no longer known (too many, or the store was reopened): list again.
   */
  watch(prefix: string, options?: WatchOptions): AsyncIterable<Change>;
  lease(ttlMs: number): Promise<Lease>;
  close(): Promise<void>;
}

export interface WatchOptions {
  readonly fromRevision?: number;
  readonly signal?: AbortSignal;
}
