// What `weft token` and `weft ca` do, on a running authority or on its data folder.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CertificateAuthority, JoinTokens, storedTrustDomain } from '@weft/ca';
import { SqliteStore, StoreInUse } from '@weft/store';
import { CliError, exitCode } from './cli-error.js';
import { rotation } from './rotation.js';

export interface TokenRequest {
  /** `NS/NAME`. */
  workload: string;
  /** `NS/ACCOUNT`. */
  identity: string;
  ttlSeconds?: number;
  uses?: number;
}

export interface AuthorityDescription {
  /** SHA-256 of the certificate, hex. */
  authority: string;
  /** Its name: the issuer in the certificates it signed. */
  subject: string;
  state: string;
  notBefore: string;
  notAfter: string;
}

export interface Authorities {
  trustDomain: string;
  active: AuthorityDescription;
  authorities: AuthorityDescription[];
  /** After a rotation: nodes that were connected and did not acknowledge the new root in time. */
  unacknowledged?: readonly string[];
  /** After a rotation without a control plane, which could tell nobody. */
  offline?: true;
}

export function createToken(joinTokens: JoinTokens, { workload, identity, ttlSeconds = 600, uses = 1 }: TokenRequest): Promise<string> {
  return joinTokens.create({ workload, identity, ttlSeconds, uses });
}

export function describeAuthorities(ca: CertificateAuthority): Authorities {
  const authorities = ca.authorities.list().map(({ certificate, state }) => {
    return {
      authority: createHash('sha256').update(certificate.raw).digest('hex'),
      subject: certificate.subject,
      state,
      notBefore: certificate.validFromDate.toISOString(),
      notAfter: certificate.validToDate.toISOString(),
    };
  });
  const active = authorities.find(({ state }) => state === 'active') as AuthorityDescription;
  return { trustDomain: ca.trustDomain, active, authorities };
}

export function showOffline(dataDir: string): Promise<Authorities> {
  return openAuthority(dataDir, async ({ ca }) => describeAuthorities(ca));
}

/** Nobody is connected who would have to hear of the new root before it signs. */
export function rotateOffline(dataDir: string): Promise<Authorities> {
  return openAuthority(dataDir, async ({ ca }) => {
    await rotation(ca, async () => [])();
    return { ...describeAuthorities(ca), offline: true as const };
  });
}

/** Opens the authority of a data folder whose server is not running. */
export async function openAuthority<T>(dataDir: string, run: (parts: { ca: CertificateAuthority; joinTokens: JoinTokens }) => Promise<T>): Promise<T> {
  const file = join(dataDir, 'weft.db');
  if (!existsSync(file)) throw new CliError(`${dataDir} holds no state of \`weft up\``, exitCode.failed, 'give --data its folder, or --control-plane HOST:PORT of the one that runs');
  const store = openStore(file);
  try {
    const trustDomain = await storedTrustDomain(store);
    if (!trustDomain) throw new CliError(`${dataDir} holds no certificate authority`);
    const ca = await CertificateAuthority.open({ store, trustDomain });
    return await run({ ca, joinTokens: new JoinTokens(ca, store) });
  } finally {
    await store.close();
  }
}

function openStore(file: string): SqliteStore {
  try {
    return new SqliteStore(file);
  } catch (error) {
    if (error instanceof StoreInUse) throw new CliError(error.message, exitCode.failed, 'a `weft up` runs on it: use --control-plane HOST:PORT with its HTTP port');
    throw error;
  }
}
