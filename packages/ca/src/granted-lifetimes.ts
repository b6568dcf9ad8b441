import { getJson, putJson, type Store } from '@weft/store';

const prefix = 'ca/longest-lifetime/';

/** The longest lifetime that each root has granted to a workload, seconds: so long an old one must be believed. */
export class GrantedLifetimes {
  readonly #store: Store;
  /** What is in the store. */
  readonly #known = new Map<string, number>();
  /** One after the other, so that a shorter lifetime never overwrites a longer one. */
  #writes: Promise<void> = Promise.resolve();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resolves once it is written: call it before the certificate is handed out. */
  async granted(authorityId: string, seconds: number): Promise<void> {
    if ((this.#known.get(authorityId) ?? 0) >= seconds) return;
    const written = this.#writes.then(async () => {
      if (((await this.longest(authorityId)) ?? 0) >= seconds) return;
      await putJson(this.#store, prefix + authorityId, seconds);
      this.#known.set(authorityId, seconds);
    });
    this.#writes = written.catch(() => undefined);
    await written;
  }

  /** Undefined where none is known of: then it may be any. */
  async longest(authorityId: string): Promise<number | undefined> {
    const known = this.#known.get(authorityId);
    if (known !== undefined) return known;
    const stored = await getJson<number>(this.#store, prefix + authorityId);
    if (stored) this.#known.set(authorityId, stored.value);
    return stored?.value;
  }

  async forget(authorityId: string): Promise<void> {
    this.#known.delete(authorityId);
    await this.#store.delete(prefix + authorityId);
  }
}
