// The differences that are meant. Each stands in docs/envoy-differences.md with its reason; one that never occurs is reported.
import { hopHeaders } from './compare.js';
import { existing } from './generate/clusters.js';
import type { CaseRequest, Difference, JsonObject, Observation } from './model.js';
import type { RbacCase, RbacOutcome } from './rbac-arena.js';

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
      // Response headers may be made of them (%RESPONSE_CODE_DETAILS%).
      if (field === 'details' || (field.startsWith('response ') && envoy.includes('|'))) return withoutReason(envoy) === withoutReason(weft);
      return field === 'response content-type' && seen.envoy.body === '' && (isReason('', seen.weft.body) || (seen.request.method === 'HEAD' && seen.weft.flags.includes('NC')));
    },
  },
  {
    name: 'expected-timeout-clock',
    covers: ({ field, envoy, weft }) => /^attempt \d+ x-envoy-expected-rq-timeout-ms$/.test(field) && Math.abs(number(envoy) - number(weft)) < 2000,
  },
  { name: 'expected-timeout-of-mirrors', covers: ({ field }) => /^mirror \d+ x-envoy-expected-rq-timeout-ms$/.test(field) },
  { name: 'request-target-without-slash', covers: ({ field }, { weft }) => field === 'status' && weft.error?.includes('path must be an absolute URL or start with a slash') === true },
  {
    name: 'log-of-unfollowed-redirect',
    covers: ({ field, envoy, weft }, seen) => isUnfollowed(seen.envoy) && (field === 'cluster' || field === 'route' || (field.startsWith('response ') && weft.replace(seen.weft.cluster, '').replace(seen.weft.route, '').length <= envoy.length + 2)),
  },
  {
    name: 'name-of-missing-cluster',
    covers: ({ field, envoy, weft }, seen) => (field === 'cluster' && envoy === '' && !existing.has(weft)) || seen.envoy.flags === 'NC' && seen.weft.flags === 'NC' && (field === 'cluster' || (field.startsWith('response ') && weft.replace(seen.weft.cluster, '').length <= envoy.length + 2)),
  },
];

/** A redirect that the policy would follow, if there were a route for it. */
export function isUnfollowed({ status, headers, route, attempts }: Observation): boolean {
  return status >= 300 && status < 400 && headers['location'] !== undefined && route === '' && attempts.length > 0;
}

export interface KnownRbacDifference {
  name: string;
  covers(outcome: RbacOutcome, of: RbacCase): boolean;
}

/** Never that Weft allows a request that Envoy denies: what the first of them allows is another path. */
export const knownRbacDifferences: readonly KnownRbacDifference[] = [
  { name: 'path-of-slashes', covers: (_outcome, { request: { path } }) => /^\/{2,}(\?|$)/.test(path) },
  { name: 'denied-value', covers: ({ weft }, { rules, request: { headers } }) => weft !== 'allowed' && headers.some(([name], i) => headers.findIndex(([other]) => other === name) < i && mentions(rules, name)) },
  { name: 'denied-host-spelling', covers: ({ weft }, { rules }) => weft !== 'allowed' && (mentions(rules, 'host') || mentions(rules, ':authority')) },
  { name: 'denied-path-spelling', covers: ({ weft }, { rules }) => weft !== 'allowed' && (mentions(rules, ':path') || JSON.stringify(rules).includes('"url_path"')) },
];

function mentions(rules: JsonObject, header: string): boolean {
  return JSON.stringify(rules).includes(`"name":${JSON.stringify(header)}`);
}

/** Weft says which cluster is missing, why no host could be chosen and what the connection's error was. */
function isReason(envoy: string, weft: string): boolean {
  if (envoy === '') return weft.startsWith('no cluster ');
  const cut = envoy.split(', transport failure reason: ')[0]!;
  return weft === cut || weft.startsWith(`${cut}, transport failure reason: `) || weft.startsWith(`${cut}: `);
}

function withoutReason(details: string): string {
  return details.replace(/\|[^}]*\}/g, '}');
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
