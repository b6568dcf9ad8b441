import { HeldIdentity, issued, Rotation, TrustBundle, type Clock, type Logger, type X509Svid } from '@weft/spiffe';
import type { AuthorityManager } from './authority-manager.js';

export interface OwnIdentityOptions {
  readonly issue: () => Promise<X509Svid>;
  readonly authorities: AuthorityManager;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The control plane's own identity: issued in process, renewed at half of its lifetime and when its root goes. */
export class OwnIdentity extends HeldIdentity {
  readonly #options: OwnIdentityOptions;
  readonly #rotation: Rotation;
  readonly #stops: (() => void)[];

  constructor(options: OwnIdentityOptions) {
    super();
    const { clock, logger, authorities } = options;
    this.#options = options;
    this.#rotation = new Rotation({ clock, logger, renew: () => this.#issue() });
    this.#stops = [
      authorities.onBundleChange(() => this.#bundleChanged()),
      // Whoever hears that a root is gone must find that the control plane does not show it any more.
      authorities.beforeRemoval(async () => void (this.#outdated() && (await this.#issue()))),
    ];
    this.#issue().catch((error: unknown) => this.holder.fail(error instanceof Error ? error : new Error(String(error))));
  }

  override close(): void {
    for (const stop of this.#stops) stop();
    this.#rotation.close();
    this.holder.close();
  }

  async #issue(): Promise<X509Svid> {
    const svid = await this.#options.issue();
    // Before anybody hears of it: a change of the bundle right after must find the renewal running.
    this.#rotation.start(svid);
    this.holder.set(svid, this.#bundles());
    return svid;
  }

  #bundleChanged(): void {
    const identity = this.holder.current();
    if (!identity) return;
    this.holder.set(identity.svid, this.#bundles());
    if (this.#outdated()) this.#rotation.renewSoon(0);
  }

  #outdated(): boolean {
    const svid = this.holder.current()?.svid;
    return svid !== undefined && !issued(this.#options.authorities.anchor().certificate, svid.leaf);
  }

  #bundles(): Map<string, TrustBundle> {
    const { trustDomain, authorities } = this.#options;
    return new Map([[trustDomain, TrustBundle.parse(trustDomain, authorities.bundle())]]);
  }
}
