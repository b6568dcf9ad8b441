import { createHash, randomBytes } from 'node:crypto';
import { controlPlaneId, formatJoinToken, parseJoinToken, sha256OfCertificate, SpiffeId } from '@weft/spiffe';
import { getJson, listJson, putJson, RevisionConflict, type Store } from '@weft/store';
import type { CertificateAuthority } from '../certificate-authority.js';
import { AttestationRefused, type Attestation, type AttestationCall, type Attestor } from './attestor.js';

export interface JoinTokenRequest {
  /** NS/NAME of the WorkloadGroup. */
  readonly workload: string;
  /** NS/SERVICE-ACCOUNT that the workload becomes. */
  readonly identity: string;
  /** 1 to 86 400. Default 600. */
  readonly ttlSeconds?: number;
  /** How many workloads may join with it. Default 1. */
  readonly uses?: number;
}

interface StoredToken {
  workload: string;
  spiffeId: string;
  /** Milliseconds since the epoch. */
  expiresAt: number;
  uses: number;
}

const prefix = 'ca/tokens/';
// One text for every reason: which of them holds is nobody's business but the operator's.
const refused = 'the join token is unknown, expired or used up';

/** Tokens that an operator hands to a workload. The store holds the SHA-256 of their secret, never the secret. */
export class JoinTokens implements Attestor {
  readonly name = 'join-token';
  readonly #authority: CertificateAuthority;
  readonly #store: Store;

  constructor(authority: CertificateAuthority, store: Store) {
    this.#authority = authority;
    this.#store = store;
  }

  /** @returns the token's text: the only time that it is known. @throws {TypeError} naming the field that is wrong. */
  async create({ workload, identity, ttlSeconds = 600, uses = 1 }: JoinTokenRequest): Promise<string> {
    pair('workload', workload);
    const [namespace, serviceAccount] = pair('identity', identity);
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > 86_400) throw new TypeError(`ttlSeconds: must be 1 to 86400, not ${ttlSeconds}`);
    if (!Number.isInteger(uses) || uses < 1 || uses > 10_000) throw new TypeError(`uses: must be 1 to 10000, not ${uses}`);
    const id = SpiffeId.forServiceAccount(this.#authority.trustDomain, namespace, serviceAccount);
    if (id.equals(controlPlaneId(id.trustDomain))) throw new TypeError(`identity: ${identity} is the control plane's own`);
    await this.#dropExpired();
    const secret = randomBytes(32).toString('base64url');
    const expiresAt = this.#authority.clock.now() + ttlSeconds * 1000;
    const token: StoredToken = { workload, spiffeId: id.toString(), expiresAt, uses };
    await putJson(this.#store, keyOf(secret), token, { ifRevision: 0 });
    await this.#authority.audit.record({ event: 'token-create', token: nameOf(secret), workload, spiffeId: token.spiffeId, uses, expiresAt: new Date(expiresAt).toISOString() });
    return formatJoinToken({ secret, rootSha256: sha256OfCertificate(this.#authority.authorities.anchor().certificate) });
  }

  async attest({ bearer }: AttestationCall): Promise<Attestation | undefined> {
    if (bearer === undefined) return undefined;
    let secret: string | undefined;
    try {
      secret = parseJoinToken(bearer)?.secret;
    } catch (error) {
      throw new AttestationRefused(refused, { cause: error });
    }
    if (secret === undefined) return undefined;
    const token = await this.#consume(keyOf(secret));
    await this.#authority.audit.record({ event: 'token-consume', token: nameOf(secret), workload: token.workload, spiffeId: token.spiffeId, usesLeft: token.uses - 1 });
    return { spiffeId: token.spiffeId };
  }

  /** Takes one use by compare-and-set: of any number of callers at once, as many win as there are uses. @returns the token before. */
  async #consume(key: string): Promise<StoredToken> {
    for (;;) {
      const stored = await getJson<StoredToken>(this.#store, key);
      if (!stored || stored.value.uses < 1 || this.#authority.clock.now() >= stored.value.expiresAt) throw new AttestationRefused(refused);
      const { value: token, revision } = stored;
      try {
        if (token.uses === 1) await this.#store.delete(key, { ifRevision: revision });
        else await putJson(this.#store, key, { ...token, uses: token.uses - 1 }, { ifRevision: revision });
        return token;
      } catch (error) {
        // Somebody else took a use in between; look again.
        if (!(error instanceof RevisionConflict)) throw error;
      }
    }
  }

  async #dropExpired(): Promise<void> {
    const now = this.#authority.clock.now();
    const { entries } = await listJson<StoredToken>(this.#store, prefix);
    await Promise.all(entries.filter(({ value }) => value.expiresAt <= now).map(({ key }) => this.#store.delete(key)));
  }
}

function pair(field: string, text: string): [string, string] {
  const [, first, second] = /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)\/([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$/.exec(text) ?? [];
  if (!first || !second) throw new TypeError(`${field}: must be NAMESPACE/NAME in lower case, not ${JSON.stringify(text)}`);
  return [first, second];
}

function keyOf(secret: string): string {
  return prefix + createHash('sha256').update(secret).digest('hex');
}

/** Enough of the hash to follow a token through the audit log. */
function nameOf(secret: string): string {
  return keyOf(secret).slice(prefix.length, prefix.length + 16);
}
