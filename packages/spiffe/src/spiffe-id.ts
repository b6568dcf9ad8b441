const longestId = 2048;
const trustDomainPattern = /^[a-z0-9._-]{1,255}$/;
const pathPattern = /^(?:\/[A-Za-z0-9._-]+)*$/;

export class SpiffeIdError extends Error {
  constructor(text: string, reason: string) {
    super(`not a SPIFFE ID: ${JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)}: ${reason}`);
    this.name = 'SpiffeIdError';
  }
}

/** A SPIFFE ID (SPIFFE-ID §2), immutable and canonical: two IDs are equal exactly when their strings are. */
export class SpiffeId {
  readonly trustDomain: string;
  /** Empty, or starts with `/`. */
  readonly path: string;

  private constructor(trustDomain: string, path: string) {
    this.trustDomain = trustDomain;
    this.path = path;
  }

  /**
   * Strict: upper case in scheme or trust domain, percent signs, query, fragment, port and user info are refused rather than
   * normalised, so that an ID has one spelling and a comparison of strings is a comparison of identities.
   * @throws {@link SpiffeIdError}
   */
  static parse(text: string): SpiffeId {
    if (text.length > longestId) throw new SpiffeIdError(text, `longer than ${longestId} bytes`);
    if (!text.startsWith('spiffe://')) throw new SpiffeIdError(text, 'does not start with spiffe://');
    const slash = text.indexOf('/', 9);
    const trustDomain = slash === -1 ? text.slice(9) : text.slice(9, slash);
    const path = slash === -1 ? '' : text.slice(slash);
    if (!trustDomainPattern.test(trustDomain)) throw new SpiffeIdError(text, 'the trust domain must be 1 to 255 of a-z 0-9 . _ -');
    if (!pathPattern.test(path)) throw new SpiffeIdError(text, 'path segments must be one or more of A-Z a-z 0-9 . _ -, without a trailing slash');
    for (const segment of path.split('/')) {
      if (segment === '.' || segment === '..') throw new SpiffeIdError(text, 'path segments must not be . or ..');
    }
    return new SpiffeId(trustDomain, path);
  }

  /** Istio's form, `spiffe://TD/ns/NS/sa/SA`. @throws {@link SpiffeIdError} */
  static forServiceAccount(trustDomain: string, namespace: string, serviceAccount: string): SpiffeId {
    const id = SpiffeId.parse(`spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`);
    if (id.trustDomain !== trustDomain || id.serviceAccount !== serviceAccount) throw new SpiffeIdError(id.toString(), 'a name contains a slash');
    return id;
  }

  /** Throws {@link SpiffeIdError} unless `name` can be a trust domain. */
  static checkTrustDomain(name: string): void {
    if (!trustDomainPattern.test(name)) throw new SpiffeIdError(`spiffe://${name}`, 'the trust domain must be 1 to 255 of a-z 0-9 . _ -');
  }

  /** Of an ID in Istio's form; undefined for any other path. */
  get namespace(): string | undefined {
    return this.#account()?.[1];
  }

  get serviceAccount(): string | undefined {
    return this.#account()?.[2];
  }

  equals(other: SpiffeId): boolean {
    return this.trustDomain === other.trustDomain && this.path === other.path;
  }

  toString(): string {
    return `spiffe://${this.trustDomain}${this.path}`;
  }

  toJSON(): string {
    return this.toString();
  }

  #account(): RegExpExecArray | null {
    return /^\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(this.path);
  }
}

/**
 * Who the control plane is. A client trusts configuration only from this ID: every workload holds a certificate of the same
 * authority, and without the check any of them could pose as the control plane.
 */
export function controlPlaneId(trustDomain: string): SpiffeId {
  return SpiffeId.forServiceAccount(trustDomain, 'istio-system', 'weft-control-plane');
}
