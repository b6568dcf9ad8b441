import type { Timer } from '@weft/spiffe';
import type { CertificateAuthority } from './certificate-authority.js';

const retryMs = 60_000;

/** Drops old roots, each as soon as no SVID that it issued can be valid any more: else every rotation would leave one believed for ever. */
export class RootRetirement {
  readonly #ca: CertificateAuthority;
  readonly #stop: () => void;
  #timer: Timer | undefined;
  #closed = false;
  #looking: Promise<void> = Promise.resolve();

  constructor(ca: CertificateAuthority) {
    this.#ca = ca;
    this.#stop = ca.onBundleChange(() => this.#look());
    this.#look();
  }

  /** Resolves when nothing of it is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stop();
    this.#timer?.cancel();
    await this.#looking;
  }

  #look(): void {
    this.#looking = this.#looking.then(() => this.#retire()).catch((error: unknown) => {
      this.#ca.logger.error({ err: error }, 'an old root could not be removed; it is tried again');
      this.#lookIn(retryMs);
    });
  }

  async #retire(): Promise<void> {
    if (this.#closed) return;
    const now = this.#ca.clock.now();
    const due = new Set<string>();
    let next = Infinity;
    for (const authority of this.#ca.authorities.list()) {
      if (authority.state !== 'old') continue;
      const until = await this.#ca.neededUntil(authority);
      if (until <= now) due.add(authority.id);
      else next = Math.min(next, until);
    }
    this.#lookIn(next - this.#ca.clock.now());
    if (due.size === 0 || this.#closed) return;
    await this.#ca.removeOld(due);
    this.#ca.logger.info({ authorities: [...due] }, 'old roots are believed no longer: every certificate that they issued has expired');
  }

  #lookIn(ms: number): void {
    this.#timer?.cancel();
    if (!this.#closed && ms !== Infinity) this.#timer = this.#ca.clock.setTimeout(() => this.#look(), ms);
  }
}
