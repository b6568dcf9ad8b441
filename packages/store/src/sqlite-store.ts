import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { ChangeLog } from './change-log.js';
import { storeClock, type StoreClock } from './clock.js';
import { LeaseExpired, RevisionConflict, StoreClosed, StoreInUse } from './errors.js';
import { checkKey } from './key.js';
import { Leases } from './leases.js';
import { sqlite, type Database, type Statement } from './sqlite.js';
import type { Change, Entry, Lease, PutOptions, Store, WatchOptions } from './store.js';

const schema = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT OR IGNORE INTO meta VALUES ('format', 1), ('revision', 0);
  CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, lease TEXT) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS entries_by_lease ON entries (lease) WHERE lease IS NOT NULL;
  CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, ttl INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
`;

interface Write {
  run(): unknown;
  settle(outcome: { value: unknown } | { error: unknown }): void;
}

export interface SqliteStoreOptions {
  readonly clock?: StoreClock;
  /** Changes kept for watchers that come later. Default 10 000. */
  readonly changeLogLimit?: number;
  /** Leases of an earlier run live for at least this long after opening, milliseconds: their holders need time to come back. Default 0. */
  readonly leaseGraceMs?: number;
}

/**
 * One SQLite file (and its -wal beside it), readable by its owner only. Writes that are asked for in one turn of the event loop
 * share one transaction, because the commit is what costs; each is durable when its promise resolves.
 */
export class SqliteStore implements Store {
  readonly #database: Database;
  readonly #statements: Record<'get' | 'put' | 'remove' | 'list' | 'ofLease' | 'revision' | 'setRevision' | 'putLease' | 'removeLease', Statement>;
  readonly #clock: StoreClock;
  readonly #log: ChangeLog;
  readonly #leases: Leases;
  #revision: number;
  #queue: Write[] = [];
  #pendingChanges: Change[] = [];
  #closed = false;

  /** @throws {@link StoreInUse} while another process has the file open. The folder is created (0700) when it is missing. */
  constructor(path: string, options: SqliteStoreOptions = {}) {
    this.#clock = options.clock ?? storeClock;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // SQLite creates files by umask and gives -wal the mode of the database: the file must be private before it holds a key.
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    this.#database = open(path);
    const prepare = (sql: string) => this.#database.prepare(sql);
    this.#statements = {
      get: prepare('SELECT key, value, revision FROM entries WHERE key = ?'),
      put: prepare('INSERT OR REPLACE INTO entries (key, value, revision, lease) VALUES (?, ?, ?, ?)'),
      remove: prepare('DELETE FROM entries WHERE key = ?'),
      list: prepare('SELECT key, value, revision FROM entries WHERE key >= ?1 AND key < ?1 || char(1114111) ORDER BY key'),
      ofLease: prepare('SELECT key FROM entries WHERE lease = ? ORDER BY key'),
      revision: prepare("SELECT value FROM meta WHERE name = 'revision'"),
      setRevision: prepare("UPDATE meta SET value = ? WHERE name = 'revision'"),
      putLease: prepare('INSERT OR REPLACE INTO leases (id, ttl, expires) VALUES (?, ?, ?)'),
      removeLease: prepare('DELETE FROM leases WHERE id = ?'),
    };
    this.#revision = Number(this.#statements.revision.get()!['value']);
    this.#log = new ChangeLog(this.#revision, options.changeLogLimit);
    this.#leases = new Leases(
      this.#clock,
      (id) => this.#write(() => this.#endLease(id)),
      (id, expires) => this.#write(() => void this.#database.prepare('UPDATE leases SET expires = ? WHERE id = ?').run(expires, id)),
    );
    for (const row of this.#database.prepare('SELECT id, ttl, expires FROM leases').all()) {
      const ttl = Number(row['ttl']);
      // A clock that was set back must not stretch a lease beyond its own time.
      const left = Math.min(ttl, Number(row['expires']) - this.#clock.now());
      this.#leases.start(String(row['id']), ttl, Math.max(0, left, options.leaseGraceMs ?? 0));
    }
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#open();
    const row = this.#statements.get.get(key);
    return row && entryOf(row);
  }

  async put(key: string, value: Uint8Array, { ifRevision, lease }: PutOptions = {}): Promise<number> {
    checkKey(key);
    const copy = Uint8Array.from(value);
    return this.#write(() => {
      if (lease && !this.#leases.has(lease.id)) throw new LeaseExpired(lease.id);
      this.#expect(key, ifRevision);
      const revision = ++this.#revision;
      this.#statements.put.run(key, copy, revision, lease?.id ?? null);
      this.#pendingChanges.push({ type: 'put', key, value: copy, revision });
      return revision;
    });
  }

  async delete(key: string, { ifRevision }: { readonly ifRevision?: number } = {}): Promise<boolean> {
    return this.#write(() => {
      this.#expect(key, ifRevision);
      return this.#remove(key);
    });
  }

  async list(prefix: string): Promise<{ entries: Entry[]; revision: number }> {
    this.#open();
    return { entries: this.#statements.list.all(prefix).map(entryOf), revision: Number(this.#statements.revision.get()!['value']) };
  }

  watch(prefix: string, options?: WatchOptions): AsyncIterable<Change> {
    return this.#log.watch(prefix, options);
  }

  async lease(ttlMs: number): Promise<Lease> {
    const id = randomUUID();
    const lease = this.#leases.start(id, ttlMs);
    await this.#write(() => void this.#statements.putLease.run(id, ttlMs, this.#clock.now() + ttlMs));
    return lease;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    this.#leases.close();
    this.#log.close();
    this.#database.close();
  }

  #open(): void {
    if (this.#closed) throw new StoreClosed();
  }

  #expect(key: string, ifRevision: number | undefined): void {
    if (ifRevision === undefined) return;
    const actual = Number(this.#statements.get.get(key)?.['revision'] ?? 0);
    if (ifRevision !== actual) throw new RevisionConflict(key, ifRevision, actual);
  }

  #remove(key: string): boolean {
    if (this.#statements.remove.run(key).changes === 0) return false;
    this.#pendingChanges.push({ type: 'delete', key, revision: ++this.#revision });
    return true;
  }

  #endLease(id: string): void {
    for (const row of this.#statements.ofLease.all(id)) this.#remove(String(row['key']));
    this.#statements.removeLease.run(id);
  }

  async #write<T>(run: () => T): Promise<T> {
    this.#open();
    if (this.#queue.length === 0) setImmediate(() => this.#flush());
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ run, settle: (outcome) => ('error' in outcome ? reject(outcome.error) : resolve(outcome.value as T)) });
    });
  }

  #flush(): void {
    const writes = this.#queue;
    if (writes.length === 0) return;
    this.#queue = [];
    const before = this.#revision;
    const outcomes: Parameters<Write['settle']>[0][] = [];
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      for (const write of writes) outcomes.push(this.#attempt(write));
      this.#statements.setRevision.run(this.#revision);
      this.#database.exec('COMMIT');
    } catch (error) {
      // The disk is full or broken: nothing of this batch happened, and nobody may believe otherwise.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      this.#revision = before;
      this.#pendingChanges = [];
      for (const write of writes) write.settle({ error });
      return;
    }
    for (const change of this.#pendingChanges) this.#log.append(change);
    this.#pendingChanges = [];
    writes.forEach((write, index) => write.settle(outcomes[index]!));
  }

  /** A refused write (revision, lease) concerns its caller only; it has not touched the database. Anything else ends the batch. */
  #attempt(write: Write): Parameters<Write['settle']>[0] {
    try {
      return { value: write.run() };
    } catch (error) {
      if (error instanceof RevisionConflict || error instanceof LeaseExpired) return { error };
      throw error;
    }
  }
}

function open(path: string): Database {
  const database = sqlite(path);
  try {
    // EXCLUSIVE: a second process must fail at once rather than work on caches that go stale.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE; COMMIT;');
    database.exec(schema);
    return database;
  } catch (error) {
    database.close();
    if (/database is locked/.test(String(error))) throw new StoreInUse(path);
    throw new Error(`${path}: cannot be opened as a store: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function entryOf(row: Record<string, unknown>): Entry {
  return { key: String(row['key']), value: row['value'] as Uint8Array, revision: Number(row['revision']) };
}
