export type { Change, Entry, Lease, PutOptions, Store, WatchOptions } from './store.js';
export type { StoreClock } from './clock.js';
export { LeaseExpired, RevisionCompacted, RevisionConflict, StoreClosed, StoreInUse } from './errors.js';
export { fromJson, getJson, listJson, putJson, toJson, type JsonEntry } from './json.js';
export { MemoryStore } from './memory-store.js';
export { SqliteStore, type SqliteStoreOptions } from './sqlite-store.js';
