import { randomUUID } from 'node:crypto';
import { ChangeLog } from './change-log.js';
import { storeClock, type StoreClock } from './clock.js';
import { LeaseExpired, RevisionConflict, StoreClosed } from './errors.js';
import { checkKey } from './key.js';
import { Leases } from './leases.js';
import type { Change, Entry, Lease, PutOptions, Store, WatchOptions } from './store.js';

interface MemoryEntry extends Entry {
  readonly lease: string | undefined;
}

/** A store that ends with its process: for tests and for throw-away control planes. */
export class MemoryStore implements Store {
  readonly #entries = new Map<string, MemoryEntry>();
  readonly #log: ChangeLog;
  readonly #leases: Leases;
  #revision = 0;
  #closed = false;

  constructor(options: { clock?: StoreClock; changeLogLimit?: number } = {}) {
    this.#log = new ChangeLog(0, options.changeLogLimit);
    this.#leases = new Leases(options.clock ?? storeClock, (id) => this.#endLease(id), async () => undefined);
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#open();
    const entry = this.#entries.get(key);
    return entry && publicEntry(entry);
  }

  async put(key: string, value: Uint8Array, { ifRevision, lease }: PutOptions = {}): Promise<number> {
    this.#open();
    checkKey(key);
    if (lease && !this.#leases.has(lease.id)) throw new LeaseExpired(lease.id);
    this.#expect(key, ifRevision);
    const copy = Uint8Array.from(value);
    const revision = ++this.#revision;
    this.#entries.set(key, { key, value: copy, revision, lease: lease?.id });
    this.#log.append({ type: 'put', key, value: copy, revision });
    return revision;
  }

  async delete(key: string, { ifRevision }: { readonly ifRevision?: number } = {}): Promise<boolean> {
    this.#open();
    this.#expect(key, ifRevision);
    return this.#remove(key);
  }

  async list(prefix: string): Promise<{ entries: Entry[]; revision: number }> {
    this.#open();
    const entries = [...this.#entries.values()].filter((entry) => entry.key.startsWith(prefix)).map(publicEntry);
    return { entries: entries.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))), revision: this.#revision };
  }

  watch(prefix: string, options?: WatchOptions): AsyncIterable<Change> {
    return this.#log.watch(prefix, options);
  }

  async lease(ttlMs: number): Promise<Lease> {
    this.#open();
    return this.#leases.start(randomUUID(), ttlMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#leases.close();
    this.#log.close();
  }

  #open(): void {
    if (this.#closed) throw new StoreClosed();
  }

  #expect(key: string, ifRevision: number | undefined): void {
    const actual = this.#entries.get(key)?.revision ?? 0;
    if (ifRevision !== undefined && ifRevision !== actual) throw new RevisionConflict(key, ifRevision, actual);
  }

  #remove(key: string): boolean {
    if (!this.#entries.delete(key)) return false;
    this.#log.append({ type: 'delete', key, revision: ++this.#revision });
    return true;
  }

  async #endLease(id: string): Promise<void> {
    for (const entry of this.#entries.values()) if (entry.lease === id) this.#remove(entry.key);
  }
}

function publicEntry({ key, value, revision }: MemoryEntry): Entry {
  return { key, value: Uint8Array.from(value), revision };
}
