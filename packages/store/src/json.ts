import type { PutOptions, Store } from './store.js';

const decoder = new TextDecoder('utf-8', { fatal: true });

export interface JsonEntry<T> {
  readonly key: string;
  readonly value: T;
  readonly revision: number;
}

/** Rejects with an error that names the key when the value is not JSON. The shape is the caller's to check. */
export async function getJson<T>(store: Store, key: string): Promise<JsonEntry<T> | undefined> {
  const entry = await store.get(key);
  return entry && { key, value: fromJson<T>(entry.value, key), revision: entry.revision };
}

export function putJson(store: Store, key: string, value: unknown, options?: PutOptions): Promise<number> {
  return store.put(key, toJson(value), options);
}

export async function listJson<T>(store: Store, prefix: string): Promise<{ entries: JsonEntry<T>[]; revision: number }> {
  const { entries, revision } = await store.list(prefix);
  return { entries: entries.map((entry) => ({ ...entry, value: fromJson<T>(entry.value, entry.key) })), revision };
}

export function toJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** @param key named in the error. */
export function fromJson<T>(bytes: Uint8Array, key: string): T {
  try {
    return JSON.parse(decoder.decode(bytes)) as T;
  } catch (error) {
    throw new Error(`${key}: the stored value is not JSON`, { cause: error });
  }
}
