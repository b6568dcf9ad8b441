import type { KeyObject } from 'node:crypto';

/** Keeps the private keys of authorities. It signs and never hands a key out, so that a KMS or a token can stand behind it. */
export interface KeyManager {
  /** Makes a P-256 key under this id. Rejects when the id is taken. */
  generate(id: string): Promise<KeyObject>;
  /** ECDSA over SHA-256 of `data`, DER. Rejects when there is no such key. */
  sign(id: string, data: Uint8Array): Promise<Buffer>;
  /** Forgets the key for good. */
  remove(id: string): Promise<void>;
}
