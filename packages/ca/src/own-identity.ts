import { IdentityHolder, issued, Rotation, TrustBundle, type Identity, type SvidSource, type X509Svid } from '@weft/spiffe';
import type { CertificateAuthority, IssueRequest } from './certificate-authority.js';

/** The control plane's own identity: issued in process, renewed at half of its lifetime and when another root becomes active. */
export class OwnIdentity implements SvidSource {
  readonly #authority: CertificateAuthority;
  readonly #request: IssueRequest;
  readonly #holder = new IdentityHolder();
  readonly #rotation: Rotation;
  readonly #stop: () => void;

  constructor(authority: CertificateAuthority, request: IssueRequest) {
    this.#authority = authority;
    this.#request = request;
    this.#rotation = new Rotation({ clock: authority.clock, logger: authority.logger, renew: () => this.#issue() });
    this.#stop = authority.onBundleChange(() => this.#bundleChanged());
    this.#issue().catch((error: unknown) => this.#holder.fail(error instanceof Error ? error : new Error(String(error))));
  }

  current(): Identity | undefined {
    return this.#holder.current();
  }

  ready(signal?: AbortSignal): Promise<Identity> {
    return this.#holder.ready(signal);
  }

  subscribe(fn: (identity: Identity) => void): () => void {
    return this.#holder.subscribe(fn);
  }

  close(): void {
    this.#stop();
    this.#rotation.close();
    this.#holder.close();
  }

  async #issue(): Promise<X509Svid> {
    const svid = await this.#authority.issue(this.#request);
    // Before anybody hears of it: a change of the bundle right after must find the renewal running.
    this.#rotation.start(svid);
    this.#holder.set(svid, this.#bundles());
    return svid;
  }

  #bundleChanged(): void {
    const identity = this.#holder.current();
    if (!identity) return;
    this.#holder.set(identity.svid, this.#bundles());
    if (!issued(this.#authority.authorities.active().certificate, identity.svid.leaf)) this.#rotation.renewSoon(0);
  }

  #bundles(): Map<string, TrustBundle> {
    const { trustDomain } = this.#authority;
    return new Map([[trustDomain, TrustBundle.parse(trustDomain, this.#authority.bundle())]]);
  }
}
