import { X509Certificate } from 'node:crypto';
import { delay, systemClock, type Clock } from '../clock.js';
import { createCsr } from '../csr.js';
import { parseJoinToken, sha256OfCertificate } from '../join-token.js';
import { silentLogger, type Logger } from '../logger.js';
import { PeerVerificationError } from '../peer-verifier.js';
import { Rotation } from '../rotation.js';
import { HeldIdentity } from '../svid-source.js';
import { splitPem } from '../pem.js';
import { TrustBundle } from '../trust-bundle.js';
import type { X509Svid } from '../x509-svid.js';
import { createCertificate, isRefusal } from './certificate-client.js';
import { fetchPinnedRoot, parseAddress, type HostPort } from './first-contact.js';
import { issuedBy, readIssuedChain } from './issued-chain.js';
import { StateDirectory, type StoredIdentity } from './state-directory.js';

export interface CaSourceOptions {
  /** HOST:PORT of the control plane's TLS port; IPv6 in brackets. */
  readonly address: string;
  /** The control plane's roots. Without them the join token must pin one. */
  readonly rootPem?: string;
  /**
   * A join token, or any bearer token the authority accepts. Needed for the first SVID, and again when one has expired. A function is
   * asked each time: the file that it reads may hold a newer one then.
   */
  readonly token?: string | (() => string | undefined);
  /** Wanted lifetime of SVIDs, seconds. Default: what the authority gives. */
  readonly ttlSeconds?: number;
  /** A folder (made 0700) in which key, SVID and bundle survive a restart. Default: memory only. */
  readonly stateDir?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** In [0, 1); for tests. */
  readonly random?: () => number;
}

/**
 * An SVID from a certificate authority that speaks Istio's CreateCertificate, renewed at half of its lifetime with a new key and,
 * from the second on, by the current SVID. The first contact is pinned: nothing is sent to a server that the root certificate or
 * the join token does not vouch for.
 *
 * `ready()` rejects when there is no pin, the pin does not fit, or the authority refuses the caller; a control plane that cannot
 * be reached is tried again instead.
 */
export class CaSource extends HeldIdentity {
  readonly #options: CaSourceOptions;
  readonly #server: HostPort;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #rotation: Rotation;
  readonly #state: StateDirectory | undefined;
  readonly #abort = new AbortController();
  /** Roots with which the control plane is verified. Undefined until the first contact. */
  #rootsPem: string | undefined;
  /** Saved with the identity: see {@link StoredIdentity}. */
  #pin = '';
  /** Why the saved identity is left aside, for the error that follows where nothing else can take its place. */
  #notLoaded = '';
  /** What an earlier run saved has run out. */
  #expired = false;
  #saving: Promise<void> = Promise.resolve();

  /** @throws {TypeError} for an address that is none, or a root PEM without certificates. */
  constructor(options: CaSourceOptions) {
    super();
    this.#options = options;
    this.#server = parseAddress(options.address);
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#state = options.stateDir === undefined ? undefined : new StateDirectory(options.stateDir);
    if (options.rootPem !== undefined && splitPem(options.rootPem, 'CERTIFICATE').length === 0) throw new TypeError('the root PEM holds no certificate');
    this.#rotation = new Rotation({
      clock: this.#clock,
      renew: (signal) => this.#obtain(signal),
      logger: this.#logger,
      ...(options.random && { random: options.random }),
    });
    void this.#start();
  }

  /** Resolves when the newest identity is in the state directory: a token that was used up for it must not be lost with the process. */
  saved(): Promise<void> {
    return this.#saving;
  }

  override close(): void {
    this.#abort.abort(new Error('the SVID source is closed'));
    this.#rotation.close();
    this.holder.close();
  }

  /**
   * The bundle as the control plane publishes it now, the active authority first. Replaces ours; an SVID that the active authority
   * did not issue is renewed at once, so that the old one can be withdrawn.
   * @throws when there is no certificate in it or one is no authority; ours stays.
   */
  setAuthorities(pems: readonly string[]): void {
    const identity = this.holder.current();
    if (!identity) return;
    const { svid, bundles } = identity;
    const bundle = TrustBundle.parse(svid.id.trustDomain, pems);
    if (!bundle.equals(bundles.get(bundle.trustDomain))) this.#adopt(svid, bundle);
    // A random part of up to 5 s: every workload hears of the new authority in the same moment.
    if (!issuedBy(svid, bundle.authorities[0]!)) this.#rotation.renewSoon(Math.min(5000, (svid.notAfter - svid.notBefore) / 20));
  }

  async #start(): Promise<void> {
    const stored = await this.#load();
    if (this.#abort.signal.aborted) return;
    this.#pin = this.#pinText() || (stored?.pin ?? '');
    if (stored) {
      this.#rootsPem = stored.bundle.pem;
      if (stored.svid.isValidAt(this.#clock.now())) {
        // When it was obtained is not saved: notBefore, less what authorities set it back by.
        this.#rotation.start(stored.svid, stored.svid.notBefore + 60_000);
        this.holder.set(stored.svid, new Map([[stored.bundle.trustDomain, stored.bundle]]));
        return;
      }
      this.#expired = true;
    }
    const since = new Date(this.#clock.now()).toISOString();
    for (let wait = 1000; !this.#abort.signal.aborted; wait = Math.min(wait * 1.6, 30_000)) {
      try {
        await this.#obtain(this.#abort.signal);
        return;
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        if (isFinal(error)) {
          this.#logger.error({ err: error }, 'no SVID: the control plane and this workload do not accept each other');
          this.holder.fail(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        this.#logger.warn({ err: error, address: this.#options.address, retryInMs: Math.round(wait) }, 'no SVID yet: the control plane cannot be reached');
        this.holder.delay(new Error(`the control plane ${this.#options.address} cannot be reached: ${error instanceof Error ? error.message : String(error)} (since ${since})`, { cause: error }));
      }
      await delay(this.#clock, wait * (0.8 + 0.4 * (this.#options.random ?? Math.random)()), this.#abort.signal);
    }
  }

  async #load(): Promise<StoredIdentity | undefined> {
    try {
      const stored = await this.#state?.load();
      if (stored && !this.#pinned(stored)) {
        this.#notLoaded = '; the saved identity is of another authority than the one configured now';
        this.#logger.warn({ spiffeId: stored.svid.id.toString() }, 'the saved identity is of another authority than the one configured now; it is left aside');
        return undefined;
      }
      return stored;
    } catch (error) {
      this.#notLoaded = `; the saved identity cannot be used: ${error instanceof Error ? error.message : String(error)}`;
      this.#logger.warn({ err: error }, 'the saved identity cannot be used');
      return undefined;
    }
  }

  /**
   * A new pin outweighs what an earlier run learnt (the control plane was set up anew). The same pin as then does not: the authority
   * may have been rotated since, and the bundle that followed it is the newer knowledge.
   */
  #pinned({ bundle, pin }: StoredIdentity): boolean {
    const configured = this.#pins();
    return configured.length === 0 || configured.join(' ') === pin || bundle.authorities.some((authority) => configured.includes(sha256OfCertificate(authority).toString('hex')));
  }

  #pinText(): string {
    try {
      return this.#pins().join(' ');
    } catch {
      // A damaged token says so when it is used.
      return '';
    }
  }

  /** SHA-256 of the roots that the configuration names. */
  #pins(): string[] {
    const { rootPem } = this.#options;
    const token = this.#token();
    if (rootPem !== undefined) return splitPem(rootPem, 'CERTIFICATE').map((pem) => sha256OfCertificate(new X509Certificate(pem)).toString('hex'));
    const pin = token === undefined ? undefined : parseJoinToken(token)?.rootSha256;
    return pin ? [pin.toString('hex')] : [];
  }

  #token(): string | undefined {
    const { token } = this.#options;
    return typeof token === 'function' ? token() : token;
  }

  /** A new key, a certificate for it, and both made current. */
  async #obtain(signal: AbortSignal): Promise<X509Svid> {
    this.#rootsPem ??= await this.#firstContact(signal);
    const now = this.#clock.now();
    const current = this.holder.current()?.svid;
    const svid = current?.isValidAt(now) ? current : undefined;
    const token = svid ? undefined : this.#token();
    if (!svid && token === undefined) throw new FinalError(current || this.#expired ? 'the SVID has expired and there is no token to get a new one with (`weft token create`)' : `no token to get the first SVID with (\`weft token create\`)${this.#notLoaded}`);
    const { csrPem, keyPem } = await createCsr(svid && { uri: svid.id.toString() });
    const { ttlSeconds = 0 } = this.#options;
    const answer = await createCertificate({ server: this.#server, rootsPem: this.#rootsPem, csrPem, ttlSeconds, ...(svid ? { svid } : { token }) }, signal);
    const next = readIssuedChain(answer, keyPem, this.#clock.now());
    if (current && !next.svid.id.equals(current.id)) throw new Error(`the authority renewed ${current.id} as ${next.svid.id}`);
    // Before anybody hears of it: whoever answers with setAuthorities must find the renewal running.
    this.#rotation.start(next.svid);
    this.#adopt(next.svid, next.bundle);
    return next.svid;
  }

  async #firstContact(signal: AbortSignal): Promise<string> {
    const { rootPem } = this.#options;
    if (rootPem !== undefined) return rootPem;
    const token = this.#token();
    const pin = token === undefined ? undefined : parseJoinToken(token);
    if (!pin) throw new FinalError(`nothing vouches for the control plane: give its root certificate, or a join token (which pins it)${this.#notLoaded}`);
    return fetchPinnedRoot(this.#server, pin.rootSha256, AbortSignal.any([signal, AbortSignal.timeout(10_000)]));
  }

  #adopt(svid: X509Svid, bundle: TrustBundle): void {
    this.#rootsPem = bundle.pem;
    this.holder.set(svid, new Map([[bundle.trustDomain, bundle]]));
    const state = this.#state;
    if (!state) return;
    this.#saving = this.#saving
      .then(() => state.save({ svid, bundle, pin: this.#pin }))
      .catch((error: unknown) => this.#logger.warn({ err: error }, 'the identity cannot be saved; a restart will need a token'));
  }
}

/** Trying again cannot help. */
class FinalError extends Error {}

function isFinal(error: unknown): boolean {
  return error instanceof FinalError || error instanceof PeerVerificationError || error instanceof TypeError || isRefusal(error) || /join token is damaged/.test(String(error));
}
