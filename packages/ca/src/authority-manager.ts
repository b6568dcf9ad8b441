import { randomBytes, X509Certificate } from 'node:crypto';
import { SpiffeId, type Clock } from '@weft/spiffe';
import { getJson, putJson, RevisionConflict, type Store } from '@weft/store';
import type { AuditLog } from './audit-log.js';
import { buildRoot, type PublicPoint } from './certificate-builder.js';
import type { KeyManager } from './key-manager/key-manager.js';
import { serialNumber } from './serial-number.js';

/** prepared: believed, does not sign yet. active: signs. old: still believed, signs for no workload any more. */
export type AuthorityState = 'prepared' | 'active' | 'old';

export interface Authority {
  /** Also the name of its key. */
  readonly id: string;
  readonly state: AuthorityState;
  /** When it came into this state, milliseconds since the epoch: an old one is needed for the longest SVID lifetime after that. */
  readonly since: number;
  readonly certificatePem: string;
  readonly certificate: X509Certificate;
}

interface StoredAuthorities {
  format: 1;
  trustDomain: string;
  authorities: { id: string; state: AuthorityState; since: number; certificate: string }[];
}

export interface AuthorityManagerOptions {
  readonly store: Store;
  readonly keys: KeyManager;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly audit: AuditLog;
  /** Lifetime of a new root, milliseconds. */
  readonly validityMs: number;
}

const key = 'ca/authorities';
const backdateMs = 60_000;

/** The trust domain of the authority that a store holds, if it holds one. */
export async function storedTrustDomain(store: Store): Promise<string | undefined> {
  return (await getJson<StoredAuthorities>(store, key))?.value.trustDomain;
}

/**
 * The roots of a trust domain and their rotation: prepare (publish a new root), activate (sign with it), remove the old. Each has a
 * key of its own, so a rotation also answers a stolen key. Every step is one compare-and-set in the store.
 */
export class AuthorityManager {
  readonly #options: AuthorityManagerOptions;
  readonly #listeners = new Set<(bundle: string[]) => void>();
  readonly #beforeRemoval = new Set<() => Promise<void>>();
  readonly #going = new Set<string>();
  #authorities: readonly Authority[] = [];
  #revision = 0;

  private constructor(options: AuthorityManagerOptions) {
    this.#options = options;
  }

  /** Loads the roots, or makes the first. @throws when the store holds those of another trust domain. */
  static async open(options: AuthorityManagerOptions): Promise<AuthorityManager> {
    SpiffeId.checkTrustDomain(options.trustDomain);
    const manager = new AuthorityManager(options);
    await manager.#load();
    if (manager.#authorities.length === 0) await manager.#create('active').catch(async (error: unknown) => {
      if (!(error instanceof RevisionConflict)) throw error;
      await manager.#load();
    });
    return manager;
  }

  /** Root certificates as PEM, the active one first. */
  bundle(): string[] {
    return this.list().map(({ certificatePem }) => certificatePem);
  }

  /** The active one first, then the prepared, then the old. */
  list(): Authority[] {
    const order: AuthorityState[] = ['active', 'prepared', 'old'];
    return [...this.#authorities].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  }

  active(): Authority {
    return this.#authorities.find(({ state }) => state === 'active')!;
  }

  /**
   * The root by which the control plane shows itself: the oldest that is believed. A workload that was away during a rotation
   * knows no newer one, and could not even fetch the bundle from a control plane that it does not believe.
   */
  anchor(): Authority {
    const soon = this.#options.clock.now() + 3_600_000;
    const old = this.#authorities.filter(({ id, state, certificate }) => state === 'old' && !this.#going.has(id) && certificate.validToDate.getTime() > soon);
    return old.sort((a, b) => a.since - b.since)[0] ?? this.active();
  }

  sign(authority: Authority, tbs: Buffer): Promise<Buffer> {
    return this.#options.keys.sign(authority.id, tbs);
  }

  /** Publishes a new root that does not sign yet. Wait until every workload has the bundle before `activate`. */
  async prepare(): Promise<Authority> {
    if (this.#authorities.some(({ state }) => state === 'prepared')) throw new Error('an authority is prepared already: activate it first');
    return this.#create('prepared');
  }

  /** The prepared root signs from now on; the one before is old, and still believed. */
  async activate(): Promise<Authority> {
    const next = this.#authorities.find(({ state }) => state === 'prepared');
    if (!next) throw new Error('no authority is prepared: prepare one first');
    const since = this.#options.clock.now();
    const enter = (authority: Authority, state: AuthorityState) => (authority.state === state ? authority : { ...authority, state, since });
    await this.#save(this.#authorities.map((authority) => enter(authority, authority.id === next.id ? 'active' : 'old')));
    await this.#options.audit.record({ event: 'authority-activate', authority: next.id, sha256: next.certificate.fingerprint256 });
    return this.active();
  }

  /** Old roots, or those of them that are chosen, are believed no longer and their keys are gone: SVIDs that they issued are worthless. */
  async removeOld(chosen: (authority: Authority) => boolean = () => true): Promise<void> {
    const old = this.#authorities.filter((authority) => authority.state === 'old' && chosen(authority));
    if (old.length === 0) return;
    for (const { id } of old) this.#going.add(id);
    try {
      await Promise.all([...this.#beforeRemoval].map((fn) => fn()));
      await this.#save(this.#authorities.filter((authority) => !old.includes(authority)));
    } finally {
      for (const { id } of old) this.#going.delete(id);
    }
    for (const { id, certificate } of old) {
      await this.#options.keys.remove(id);
      await this.#options.audit.record({ event: 'authority-remove', authority: id, sha256: certificate.fingerprint256 });
    }
  }

  /** Called, and waited for, before old roots go; `anchor` is by then what it will be without them. @returns stops it. */
  beforeRemoval(fn: () => Promise<void>): () => void {
    this.#beforeRemoval.add(fn);
    return () => void this.#beforeRemoval.delete(fn);
  }

  /** @returns stops it. */
  onBundleChange(fn: (bundle: string[]) => void): () => void {
    this.#listeners.add(fn);
    return () => void this.#listeners.delete(fn);
  }

  async #create(state: 'prepared' | 'active'): Promise<Authority> {
    const { keys, clock, trustDomain, validityMs, audit } = this.#options;
    const id = randomBytes(8).toString('hex');
    const point = pointOf((await keys.generate(id)).export({ type: 'spki', format: 'der' }));
    const now = Math.floor(clock.now() / 1000) * 1000;
    const template = { serial: serialNumber(), notBefore: now - backdateMs, notAfter: now + validityMs, point, commonName: commonName(id), trustDomain };
    const certificatePem = await buildRoot(template, (tbs) => keys.sign(id, tbs));
    const authority: Authority = { id, state, since: clock.now(), certificatePem, certificate: new X509Certificate(certificatePem) };
    try {
      await this.#save([...this.#authorities, authority]);
    } catch (error) {
      await keys.remove(id);
      throw error;
    }
    await audit.record({ event: 'authority-create', authority: id, state, sha256: authority.certificate.fingerprint256 });
    return authority;
  }

  async #load(): Promise<void> {
    const stored = await getJson<StoredAuthorities>(this.#options.store, key);
    if (!stored) return;
    const { format, trustDomain, authorities } = stored.value;
    if (format !== 1) throw new Error(`the store's authorities have the unknown format ${String(format)}`);
    if (trustDomain !== this.#options.trustDomain) throw new Error(`the store belongs to the trust domain ${trustDomain}, not ${this.#options.trustDomain}`);
    this.#revision = stored.revision;
    this.#authorities = authorities.map(({ id, state, since, certificate }) => ({ id, state, since, certificatePem: certificate, certificate: new X509Certificate(certificate) }));
  }

  async #save(authorities: readonly Authority[]): Promise<void> {
    const stored: StoredAuthorities = {
      format: 1,
      trustDomain: this.#options.trustDomain,
      authorities: authorities.map(({ id, state, since, certificatePem }) => ({ id, state, since, certificate: certificatePem })),
    };
    this.#revision = await putJson(this.#options.store, key, stored, { ifRevision: this.#revision });
    this.#authorities = authorities;
    for (const fn of this.#listeners) {
      // The change is made: a listener that fails must not keep the others, or the audit log, from it.
      try {
        fn(this.bundle());
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }
}

/** The name in a root's certificate, which its leaves repeat as their issuer. */
export function commonName(authorityId: string): string {
  return `Weft authority ${authorityId}`;
}

/** The uncompressed point at the end of a P-256 SubjectPublicKeyInfo. */
export function pointOf(spki: Buffer): PublicPoint {
  return Buffer.from(spki.subarray(-65));
}
