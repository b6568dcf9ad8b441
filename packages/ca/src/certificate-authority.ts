import { generateKeyPair, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import { silentLogger, SpiffeId, systemClock, X509Svid, type Clock, type Logger, type SvidSource } from '@weft/spiffe';
import type { Store } from '@weft/store';
import { AuditLog, StoreAuditSink, type AuditSink } from './audit-log.js';
import { AuthorityManager, commonName, pointOf, type Authority } from './authority-manager.js';
import { buildLeaf, type PublicPoint } from './certificate-builder.js';
import { checkNames } from './csr-policy.js';
import { readCsr, type Csr } from './csr-reader.js';
import { printedAddress } from './ip-address.js';
import { GrantedLifetimes } from './granted-lifetimes.js';
import type { KeyManager } from './key-manager/key-manager.js';
import { StoreKeyManager } from './key-manager/store.js';
import { OwnIdentity } from './own-identity.js';
import { serialNumber } from './serial-number.js';
import { validateSvid } from './svid-validator.js';

export interface CertificateAuthorityOptions {
  readonly store: Store;
  readonly trustDomain: string;
  /** Lifetime of an SVID whose caller asks for none, seconds: 10 to 86 400. Default 3600. */
  readonly svidTtlSeconds?: number;
  /** Lifetime of a new root, seconds. Default ten years. */
  readonly rootTtlSeconds?: number;
  /** Default: PKCS#8 in the store. */
  readonly keys?: KeyManager;
  /** Default: the newest 10 000 lines in the store. */
  readonly audit?: AuditSink;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface SignRequest {
  readonly csrPem: string;
  /** The granted identity. Never taken from the CSR. */
  readonly spiffeId: string;
  readonly ttlSeconds?: number;
  /** How the caller proved itself, for the audit log. */
  readonly attestor?: string;
}

export interface IssueRequest {
  readonly spiffeId: string;
  /** Only for the control plane's own certificate: workloads have no host names, so a host name proves a control plane. */
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly ttlSeconds?: number;
}

/** A wanted lifetime is out of bounds. */
export class TtlError extends Error {
  constructor(ttlSeconds: number) {
    super(`the lifetime must be ${shortestTtl} to ${longestTtl} whole seconds, not ${ttlSeconds}`);
    this.name = 'TtlError';
  }
}

const shortestTtl = 10;
const longestTtl = 86_400;
const tenYears = 10 * 365 * 86_400;
// For peers whose clock is behind.
const backdateMs = 60_000;

/** Issues the X.509-SVIDs of one trust domain, straight from its active root. */
export class CertificateAuthority {
  readonly trustDomain: string;
  readonly authorities: AuthorityManager;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly #ttlSeconds: number;
  readonly #lifetimes: GrantedLifetimes;

  private constructor(options: CertificateAuthorityOptions, authorities: AuthorityManager, audit: AuditLog) {
    this.trustDomain = options.trustDomain;
    this.authorities = authorities;
    this.audit = audit;
    this.clock = options.clock ?? systemClock;
    this.logger = options.logger ?? silentLogger;
    this.#ttlSeconds = checkTtl(options.svidTtlSeconds ?? 3600);
    this.#lifetimes = new GrantedLifetimes(options.store);
  }

  /** Loads the authority from the store or founds it. @throws when the store belongs to another trust domain. */
  static async open(options: CertificateAuthorityOptions): Promise<CertificateAuthority> {
    checkTtl(options.svidTtlSeconds ?? 3600);
    const clock = options.clock ?? systemClock;
    const { store, trustDomain, keys = new StoreKeyManager(store), rootTtlSeconds = tenYears } = options;
    const audit = await AuditLog.open(options.audit ?? new StoreAuditSink(store), () => clock.now());
    const authorities = await AuthorityManager.open({ store, keys, trustDomain, clock, audit, validityMs: rootTtlSeconds * 1000 });
    const { certificate } = authorities.active();
    const [from, to] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
    // A fifth of its life: for ten years two, long enough for any client to be reached.
    if (to - clock.now() < (to - from) / 5) options.logger?.warn({ notAfter: certificate.validTo }, 'the root certificate nears its end: rotate the authority');
    return new CertificateAuthority(options, authorities, audit);
  }

  /** The roots, PEM, the active one first. */
  bundle(): string[] {
    return this.authorities.bundle();
  }

  /** @returns stops it. */
  onBundleChange(fn: (bundle: string[]) => void): () => void {
    return this.authorities.onBundleChange(fn);
  }

  /**
   * Signs a stranger's request for an identity that was granted before.
   * @throws {CsrError} for a bad request, {NamesRefused} when it asks for other names, {@link TtlError}.
   */
  async sign({ csrPem, ...granted }: SignRequest): Promise<{ chain: string[]; notAfter: number }> {
    return this.signCsr(readCsr(csrPem), granted);
  }

  /** `sign` for a request that was read (and its proof of possession checked) by `readCsr`. */
  async signCsr(csr: Csr, { spiffeId, ttlSeconds, attestor }: Omit<SignRequest, 'csrPem'>): Promise<{ chain: string[]; notAfter: number }> {
    checkNames(csr, spiffeId);
    const root = this.authorities.active();
    await this.#lifetimes.granted(root.id, checkTtl(ttlSeconds ?? this.#ttlSeconds));
    const { pem, notAfter } = await this.#leaf({ root, spiffeId, publicKey: csr.publicKey, point: csr.point, ttlSeconds, attestor });
    return { chain: [pem], notAfter };
  }

  /** An SVID with a key made here: for the control plane itself. Its chain ends with the root, which join tokens are compared with. */
  async issue({ spiffeId, dnsNames = [], ipAddresses = [], ttlSeconds }: IssueRequest): Promise<X509Svid> {
    const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
    const point = pointOf(publicKey.export({ type: 'spki', format: 'der' }));
    const root = this.authorities.anchor();
    const { pem } = await this.#leaf({ root, spiffeId, publicKey, point, ttlSeconds, attestor: 'own', dnsNames, ipAddresses });
    return X509Svid.parse({ chainPem: pem + root.certificatePem, keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string });
  }

  /** An identity that is issued in this process and renews itself. */
  svidSource(request: IssueRequest): SvidSource {
    return new OwnIdentity({ authorities: this.authorities, trustDomain: this.trustDomain, clock: this.clock, logger: this.logger, issue: () => this.issue(request) });
  }

  /** Until when an old root is needed, milliseconds since the epoch: an SVID that it issued may be valid, or may look so to a clock behind. */
  async neededUntil(authority: Authority): Promise<number> {
    const longest = (await this.#lifetimes.longest(authority.id)) ?? longestTtl;
    return Math.min(authority.since + longest * 1000, authority.certificate.validToDate.getTime()) + backdateMs;
  }

  /** Removes these of the old roots, for good. */
  async removeOld(ids: ReadonlySet<string>): Promise<void> {
    await this.authorities.removeOld(({ id }) => ids.has(id));
    for (const id of ids) await this.#lifetimes.forget(id);
  }

  async #leaf(request: {
    root: Authority;
    spiffeId: string;
    publicKey: KeyObject;
    point: PublicPoint;
    ttlSeconds: number | undefined;
    attestor: string | undefined;
    dnsNames?: readonly string[];
    ipAddresses?: readonly string[];
  }): Promise<{ pem: string; notAfter: number }> {
    const { root, spiffeId, publicKey, point, attestor, dnsNames = [], ipAddresses = [] } = request;
    this.#checkId(spiffeId);
    checkHostNames(dnsNames, ipAddresses);
    const { notBefore, notAfter } = this.#validity(checkTtl(request.ttlSeconds ?? this.#ttlSeconds), root.certificate.validFromDate.getTime(), root.certificate.validToDate.getTime());
    const issuer = { commonName: commonName(root.id), point: pointOf(root.certificate.publicKey.export({ type: 'spki', format: 'der' })) };
    const pem = await buildLeaf({ serial: serialNumber(), notBefore, notAfter, point, spiffeId, dnsNames, ipAddresses, issuer }, (tbs) => this.authorities.sign(root, tbs));
    const otherNames = [...dnsNames.map((name) => `DNS:${name}`), ...ipAddresses.map((address) => `IP Address:${printedAddress(address)}`)];
    const certificate = validateSvid(pem, root.certificate, { spiffeId, publicKey, notBefore, notAfter, otherNames });
    await this.audit.record({ event: 'issue', spiffeId, attestor, serial: certificate.serialNumber, sha256: certificate.fingerprint256, notAfter: new Date(notAfter).toISOString(), authority: root.id });
    return { pem, notAfter };
  }

  #checkId(spiffeId: string): void {
    const id = SpiffeId.parse(spiffeId);
    if (id.trustDomain !== this.trustDomain || id.path === '') throw new Error(`${spiffeId} is not a workload of ${this.trustDomain}`);
  }

  /** Whole seconds, as certificates have them; never outside of the issuer's own. */
  #validity(ttlSeconds: number, issuerNotBefore: number, issuerNotAfter: number): { notBefore: number; notAfter: number } {
    const now = Math.floor(this.clock.now() / 1000) * 1000;
    const notAfter = Math.min(now + ttlSeconds * 1000, issuerNotAfter);
    if (notAfter <= now) throw new Error('the active authority has expired: prepare and activate a new one');
    return { notBefore: Math.max(now - backdateMs, issuerNotBefore), notAfter };
  }
}

function checkTtl(ttlSeconds: number): number {
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < shortestTtl || ttlSeconds > longestTtl) throw new TtlError(ttlSeconds);
  return ttlSeconds;
}

function checkHostNames(dnsNames: readonly string[], ipAddresses: readonly string[]): void {
  for (const name of dnsNames) if (!/^[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?$/.test(name)) throw new TypeError(`not a host name: ${JSON.stringify(name)}`);
  for (const address of ipAddresses) if (isIP(address) === 0 || address.includes('%')) throw new TypeError(`not an IP address: ${JSON.stringify(address)}`);
}
