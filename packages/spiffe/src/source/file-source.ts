import { watch, type FSWatcher } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemClock, type Clock, type Timer } from '../clock.js';
import { silentLogger, type Logger } from '../logger.js';
import { verifyChain } from '../peer-verifier.js';
import { HeldIdentity } from '../svid-source.js';
import { TrustBundle } from '../trust-bundle.js';
import { X509Svid } from '../x509-svid.js';

export interface FileSourceOptions {
  /** PEM: the leaf, then its intermediates. */
  readonly certificateFile: string;
  /** PEM. */
  readonly privateKeyFile: string;
  /** PEM: the roots of the SVID's trust domain. */
  readonly caCertificateFile: string;
  /** How often the files are read where the file system does not tell of changes, milliseconds. Default 10 000. */
  readonly refreshIntervalMs?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/**
 * An identity that somebody else keeps in three files (cert-manager, spiffe-helper, gRPC's file_watcher). A change takes effect when
 * the three fit each other, so it does not matter in which order they are replaced; until then the last good identity stays.
 */
export class FileSource extends HeldIdentity {
  readonly #options: FileSourceOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #watchers: FSWatcher[] = [];
  #timer: Timer | undefined;
  #closed = false;
  #seen = '';
  #reading: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(options: FileSourceOptions) {
    super();
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    const { certificateFile, privateKeyFile, caCertificateFile } = options;
    // Folders, not files: Kubernetes and careful writers replace a file by renaming, which ends a watch on the file.
    for (const folder of new Set([certificateFile, privateKeyFile, caCertificateFile].map(dirname))) {
      try {
        this.#watchers.push(watch(folder, { persistent: false }, () => void this.reload()).on('error', () => undefined));
      } catch {
        // The folder does not exist yet, or the system has no watches left: the timer does it.
      }
    }
    this.#poll();
  }

  override close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const watcher of this.#watchers) watcher.close();
    this.holder.close();
  }

  /** Reads the files now, or again after a reading that is under way (it may have seen the old ones). Resolves when that is done. */
  reload(): Promise<void> {
    this.#next ??= this.#reading.then(() => {
      this.#next = undefined;
      this.#reading = this.#read();
      return this.#reading;
    });
    return this.#next;
  }

  #poll(): void {
    if (this.#closed) return;
    void this.reload();
    this.#timer = this.#clock.setTimeout(() => this.#poll(), this.#options.refreshIntervalMs ?? 10_000);
  }

  async #read(): Promise<void> {
    const { certificateFile, privateKeyFile, caCertificateFile } = this.#options;
    try {
      const [chainPem, keyPem, bundlePem] = await Promise.all([readFile(certificateFile, 'utf8'), readFile(privateKeyFile, 'utf8'), readFile(caCertificateFile, 'utf8')]);
      const content = [chainPem, keyPem, bundlePem].join('\0');
      if (this.#closed || content === this.#seen) return;
      const svid = X509Svid.parse({ chainPem, keyPem });
      const bundle = TrustBundle.parse(svid.id.trustDomain, bundlePem);
      verifyChain(svid.certificates, bundle, this.#clock.now());
      this.#seen = content;
      this.holder.set(svid, new Map([[bundle.trustDomain, bundle]]));
    } catch (error) {
      this.holder.delay(error instanceof Error ? error : new Error(String(error)));
      this.#logger.warn({ err: error, certificateFile, privateKeyFile, caCertificateFile }, this.holder.current() ? 'the new identity files do not fit; the last good identity stays' : 'no identity yet');
    }
  }
}
