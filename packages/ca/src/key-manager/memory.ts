import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { KeyManager } from './key-manager.js';

/** Keys that end with the process. */
export class MemoryKeyManager implements KeyManager {
  readonly #keys = new Map<string, KeyObject>();

  async generate(id: string): Promise<KeyObject> {
    if (this.#keys.has(id)) throw new Error(`the key ${id} exists already`);
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#keys.set(id, privateKey);
    return publicKey;
  }

  async sign(id: string, data: Uint8Array): Promise<Buffer> {
    const key = this.#keys.get(id);
    if (!key) throw new Error(`no key ${id}`);
    return sign('sha256', data, key);
  }

  async remove(id: string): Promise<void> {
    this.#keys.delete(id);
  }
}
