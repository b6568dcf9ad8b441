import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TrustBundle } from '../trust-bundle.js';
import { X509Svid } from '../x509-svid.js';

const format = 1;

interface IdentityFile {
  format: number;
  chain: string;
  key: string;
  bundle: string;
  pin: string;
}

export interface StoredIdentity {
  readonly svid: X509Svid;
  readonly bundle: TrustBundle;
  /** What vouched for the control plane when this was saved. */
  readonly pin: string;
}

/** Where a workload's key, SVID and bundle survive a restart: one file, so that the three always belong together. */
export class StateDirectory {
  readonly #folder: string;
  readonly #file: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#file = join(folder, 'identity.json');
  }

  /** Undefined when there is none. @throws when the file is damaged, or others can read the key. */
  async load(): Promise<StoredIdentity | undefined> {
    let text: string;
    try {
      const { mode } = await stat(this.#file);
      if (mode & 0o077) throw new Error(`${this.#file} holds a private key and must be readable by its owner only (mode 0600, found 0${(mode & 0o777).toString(8)})`);
      text = await readFile(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const stored = JSON.parse(text) as IdentityFile;
      if (stored.format !== format) throw new Error(`format ${stored.format} is not known`);
      const svid = X509Svid.parse({ chainPem: stored.chain, keyPem: stored.key });
      return { svid, bundle: TrustBundle.parse(svid.id.trustDomain, stored.bundle), pin: stored.pin };
    } catch (error) {
      throw new Error(`${this.#file} is damaged: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  async save({ svid, bundle, pin }: StoredIdentity): Promise<void> {
    const stored: IdentityFile = { format, chain: svid.chainPem, key: svid.keyPem, bundle: bundle.pem, pin };
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const temporary = `${this.#file}.${randomBytes(6).toString('hex')}`;
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(JSON.stringify(stored));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}
