import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { Store } from '@weft/store';
import type { KeyManager } from './key-manager.js';

const prefix = 'ca/keys/';

/** Keys as PKCS#8 in the store, which is what protects them (SqliteStore: mode 0600). */
export class StoreKeyManager implements KeyManager {
  readonly #store: Store;
  readonly #loaded = new Map<string, KeyObject>();

  constructor(store: Store) {
    this.#store = store;
  }

  async generate(id: string): Promise<KeyObject> {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await this.#store.put(prefix + id, privateKey.export({ type: 'pkcs8', format: 'der' }), { ifRevision: 0 });
    this.#loaded.set(id, privateKey);
    return publicKey;
  }

  async sign(id: string, data: Uint8Array): Promise<Buffer> {
    return sign('sha256', data, this.#loaded.get(id) ?? (await this.#load(id)));
  }

  async remove(id: string): Promise<void> {
    this.#loaded.delete(id);
    await this.#store.delete(prefix + id);
  }

  async #load(id: string): Promise<KeyObject> {
    const entry = await this.#store.get(prefix + id);
    if (!entry) throw new Error(`no key ${id} in the store`);
    const key = createPrivateKey({ key: Buffer.from(entry.value), format: 'der', type: 'pkcs8' });
    this.#loaded.set(id, key);
    return key;
  }
}
