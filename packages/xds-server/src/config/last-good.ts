// The last good version of every object, kept in the store so that it also survives a restart (contracts.md 5).
import { toJson, type Store } from '@weft/store';
import type { Logger } from '@weft/spiffe';
import { objectKey, type ConfigObject } from './config-object.js';

/** An object as stored, with the part of the source it stood in. */
export interface StoredObject {
  part: string;
  object: Omit<ConfigObject, 'position'>;
}

const prefix = 'config/last-good/';

export class LastGood {
  readonly #store: Store | undefined;
  readonly #logger: Logger;
  readonly #objects = new Map<string, StoredObject>();
  #writing: Promise<void> = Promise.resolve();

  constructor(store: Store | undefined, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Reads what an earlier run left. An entry that cannot be read is left out and logged. */
  async load(): Promise<void> {
    for (const { key, value } of (await this.#store?.list(prefix))?.entries ?? []) {
      try {
        const stored = JSON.parse(new TextDecoder().decode(value)) as StoredObject;
        this.#objects.set(objectKey(stored.object), stored);
      } catch (error) {
        this.#logger.warn({ key, err: error }, 'a stored configuration object cannot be read');
      }
    }
  }

  get(key: string): StoredObject | undefined {
    return this.#objects.get(key);
  }

  *entries(): Generator<[string, StoredObject]> {
    yield* this.#objects;
  }

  put(part: string, { group, version, kind, metadata, body, source }: ConfigObject): void {
    const stored: StoredObject = { part, object: { group, version, kind, metadata, body, source } };
    const key = objectKey(stored.object);
    const before = this.#objects.get(key);
    this.#objects.set(key, stored);
    if (this.#store && (!before || JSON.stringify(before) !== JSON.stringify(stored))) {
      this.#write(key, (store) => store.put(storeKey(key), toJson(stored)));
    }
  }

  delete(key: string): void {
    if (this.#objects.delete(key) && this.#store) this.#write(key, (store) => store.delete(storeKey(key)));
  }

  /** Resolves when everything is written. */
  flush(): Promise<void> {
    return this.#writing;
  }

  #write(key: string, run: (store: Store) => Promise<unknown>): void {
    this.#writing = this.#writing.then(async () => {
      try {
        await run(this.#store!);
      } catch (error) {
        this.#logger.error({ object: key, err: error }, 'the last good version of a configuration object cannot be stored');
      }
    });
  }
}

/** Names may have characters that store keys do not (`|`, spaces). */
function storeKey(key: string): string {
  return prefix + key.split('/').map((step) => encodeURIComponent(step) || '-').join('/');
}
