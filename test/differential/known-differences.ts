// The differences that are meant. Each stands in docs/envoy-differences.md with its reason; one that never occurs is reported.
import { hopHeaders } from './compare.js';
import { existing } from './generate/clusters.js';
import type { CaseRequest, Difference, Observation } from './model.js';

export interface Seen {
  request: CaseRequest;
  envoy: Observation;
  weft: Observation;
}

export interface KnownDifference {
  /** As in docs/envoy-differences.md. */
  name: string;
  covers(difference: Difference, seen: Seen): boolean;
}

export const knownDifferences: readonly KnownDifference[] = [
  { name: 'hop-headers', covers: ({ field }) => hopHeaders.has(field.slice(field.lastIndexOf(' ') + 1)) },
  {
    name: 'local-reply-reasons',
    covers: ({ field, envoy, weft }, seen) => {
      if (field === 'body') return isReason(envoy, weft);
      if (field === 'response grpc-message') return isReason((JSON.parse(envoy) as string[] | null)?.[0] ?? '', (JSON.parse(weft) as string[] | null)?.[0] ?? '');
      if (field === 'details') return withoutReason(envoy) === withoutReason(weft);
      return field === 'response content-type' && seen.envoy.body === '' && (isReason('', seen.weft.body) || (seen.request.method === 'HEAD' && seen.weft.flags.includes('NC')));
    },
  },
  {
    name: 'expected-timeout-clock',
    covers: ({ field, envoy, weft }) => /^attempt \d+ x-envoy-expected-rq-timeout-ms$/.test(field) && Math.abs(number(envoy) - number(weft)) < 2000,
  },
  { name: 'expected-timeout-of-mirrors', covers: ({ field }) => /^mirror \d+ x-envoy-expected-rq-timeout-ms$/.test(field) },
  { name: 'request-target-without-slash', covers: ({ field }, { weft }) => field === 'status' && weft.error?.includes('path must be an absolute URL or start with a slash') === true },
  { name: 'mirror-of-overflow', covers: ({ field }, { envoy }) => field === 'mirrors' && envoy.flags.includes('UO') },
  {
    name: 'name-of-missing-cluster',
    covers: ({ field, envoy, weft }, seen) => (field === 'cluster' && envoy === '' && !existing.has(weft)) || seen.envoy.flags === 'NC' && seen.weft.flags === 'NC' && (field === 'cluster' || (field.startsWith('response ') && weft.replace(seen.weft.cluster, '').length <= envoy.length + 2)),
  },
];

/** Weft says which cluster is missing, why no host could be chosen and what the connection's error was. */
function isReason(envoy: string, weft: string): boolean {
  if (envoy === '') return weft.startsWith('no cluster ');
  const cut = envoy.split(', transport failure reason: ')[0]!;
  return weft === cut || weft.startsWith(`${cut}, transport failure reason: `) || weft.startsWith(`${cut}: `);
}

function withoutReason(details: string): string {
  return details.replace(/\|[^}]*\}$/, '}');
}

function number(values: string): number {
  return Number((JSON.parse(values) as string[] | null)?.[0] ?? NaN);
}

/** What no entry covers, and the names of the entries that cover the rest. */
export function unexpected(differences: readonly Difference[], seen: Seen): { differences: Difference[]; known: Set<string> } {
  const known = new Set<string>();
  const left = differences.filter((difference) => {
    const entry = knownDifferences.find(({ covers }) => covers(difference, seen));
    if (entry) known.add(entry.name);
    return entry === undefined;
  });
  return { differences: left, known };
}
