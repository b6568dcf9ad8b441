// Names to addresses, by the families that a cluster wants and in Envoy's order of preference.
import { lookup as systemLookup, resolve4, resolve6 } from 'node:dns/promises';
import { ADDRCONFIG } from 'node:dns';
import type { DnsConfig } from '../../resource/cluster-config.js';

export interface Resolution {
  readonly addresses: readonly string[];
  /** How long they hold; only where it was asked for and is known. */
  readonly ttlMs?: number;
}

/** One family of a name. Rejects, or is empty, where it has no address of the family. */
export type Lookup = (hostname: string, family: 4 | 6, withTtl: boolean) => Promise<Resolution>;

/** Rejects where the name has no address of the families that are wanted. */
export async function resolveName(lookup: Lookup, hostname: string, { family, respectTtl }: Pick<DnsConfig, 'family' | 'respectTtl'>): Promise<Resolution> {
  const of = (version: 4 | 6) => lookup(hostname, version, respectTtl).then((found) => (found.addresses.length > 0 ? found : Promise.reject(new Error(`${hostname} has no IPv${version} address`))));
  switch (family) {
    case 'v4-only': return of(4);
    case 'v6-only': return of(6);
    case 'v4-preferred': return of(4).catch(() => of(6));
    // Where this machine has no IPv6, the system finds none of a name.
    case 'auto': return of(6).catch(() => of(4));
    case 'all': return both(await Promise.allSettled([of(6), of(4)]));
  }
}

function both(results: readonly PromiseSettledResult<Resolution>[]): Resolution {
  const found = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (found.length === 0) throw (results[0] as PromiseRejectedResult).reason;
  const ttls = found.flatMap(({ ttlMs }) => ttlMs ?? []);
  return { addresses: found.flatMap(({ addresses }) => addresses), ...(ttls.length > 0 && { ttlMs: Math.min(...ttls) }) };
}

/** The system's resolver, which also knows the hosts file; where times to live count, the name servers first, as the system does not tell them. */
export const systemResolver: Lookup = async (hostname, family, withTtl) => {
  if (withTtl) {
    const records = await (family === 4 ? resolve4(hostname, { ttl: true }) : resolve6(hostname, { ttl: true })).catch(() => []);
    if (records.length > 0) return { addresses: records.map(({ address }) => address), ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1000 };
  }
  const found = await systemLookup(hostname, { all: true, order: 'verbatim', family, hints: ADDRCONFIG });
  return { addresses: found.map(({ address }) => address) };
};
