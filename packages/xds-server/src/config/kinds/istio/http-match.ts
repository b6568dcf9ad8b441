import type { HttpMatch, StringMatch } from '../../../model/route-rule.js';
import type { Fields } from '../../fields.js';
import { readStringMatch } from './string-match.js';

type NamedMatches = readonly { name: string; match: StringMatch }[];

/** One entry of `http[].match`, or undefined where it is only for gateways. */
export function readHttpMatch(fields: Fields): HttpMatch | undefined {
  const gateways = fields.strings('gateways');
  const match: Mutable<HttpMatch> = {
    name: fields.string('name') ?? '',
    ignoreUriCase: fields.boolean('ignoreUriCase') ?? false,
    headers: readHeaders(fields, 'headers'),
    withoutHeaders: readHeaders(fields, 'withoutHeaders'),
    queryParams: readNamed(fields, 'queryParams'),
    sourceLabels: fields.labels('sourceLabels'),
  };
  for (const name of ['uri', 'scheme', 'method', 'authority'] as const) {
    const value = readStringMatch(fields.object(name));
    if (value) match[name] = value;
  }
  const port = fields.port('port');
  if (port !== undefined) match.port = port;
  const sourceNamespace = fields.string('sourceNamespace');
  if (sourceNamespace) match.sourceNamespace = sourceNamespace;
  const statPrefix = fields.string('statPrefix');
  if (statPrefix) match.statPrefix = statPrefix;
  fields.finish();
  return gateways.length === 0 || gateways.includes('mesh') ? match : undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const pseudo = new Set(['uri', 'scheme', 'method', 'authority']);

function readHeaders(fields: Fields, name: string): NamedMatches {
  const headers = fields.object(name);
  for (const key of headers?.keys() ?? []) {
    if (key === '') headers!.error(key, 'a header needs a name');
    // Istio ignores these four, which would make the match wider than it reads.
    else if (pseudo.has(key)) headers!.error(key, `is not a header: match it with the field ${key}`);
    else if (key.startsWith('@')) headers!.error(key, 'matching JWT claims is not implemented');
  }
  return readNamed(fields, name).map((entry) => ({ ...entry, name: entry.name.toLowerCase() }));
}

function readNamed(fields: Fields, name: string): NamedMatches {
  const entries = fields.object(name);
  return (entries?.keys() ?? []).flatMap((key) => {
    const match = readStringMatch(entries!.object(key) ?? undefined, { emptyIsPresent: true });
    return match ? [{ name: key, match }] : [{ name: key, match: { kind: 'present' } as const }];
  });
}
