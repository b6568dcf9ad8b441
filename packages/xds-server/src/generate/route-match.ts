// One match of a rule as an xDS RouteMatch.
import type { HeaderMatcherSchema, RouteMatchSchema } from '@weft/xds-api/route';
import type { HttpMatch, StringMatch } from '../model/route-rule.js';
import type { NodeFacets } from './generator.js';
import { matchesEmpty, stringMatcher } from './string-match.js';
import type { Init } from './message.js';

export type RouteMatchInit = Init<typeof RouteMatchSchema>;
export type HeaderMatcherInit = Init<typeof HeaderMatcherSchema>;

/** The conditions that only the control plane evaluates, against the subscribing client and the port it dials. */
export function appliesTo(match: HttpMatch, node: NodeFacets, port: number): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== node.namespace) return false;
  return Object.entries(match.sourceLabels).every(([name, value]) => node.labels[name] === value);
}

export function routeMatch(match: HttpMatch | undefined): RouteMatchInit {
  if (match === undefined) return { pathSpecifier: { case: 'prefix', value: '/' } };
  return {
    ...pathMatch(match),
    headers: [...pseudoHeaders(match), ...match.headers.map(({ name, match: value }) => headerMatcher(name, value)), ...match.withoutHeaders.map(without)],
    queryParameters: match.queryParams.map(({ name, match: value }) => ({
      name,
      queryParameterMatchSpecifier: value.kind === 'present' ? { case: 'presentMatch', value: true } : { case: 'stringMatch', value: stringMatcher(value) },
    })),
  };
}

/** Whether nothing after it can ever be reached. */
export function isCatchAll(match: RouteMatchInit): boolean {
  const { pathSpecifier, headers = [], queryParameters = [] } = match;
  if (headers.length > 0 || queryParameters.length > 0) return false;
  if (pathSpecifier?.case === 'prefix') return pathSpecifier.value === '/' || pathSpecifier.value === '';
  return pathSpecifier?.case === 'safeRegex' && pathSpecifier.value.regex === '.*';
}

export function pathMatch({ uri, ignoreUriCase }: HttpMatch): RouteMatchInit {
  if (uri === undefined || uri.kind === 'present') return { pathSpecifier: { case: 'prefix', value: '/' } };
  // Istio takes a bare `*` for every path, though it is no regular expression.
  if (uri.kind === 'regex') return { pathSpecifier: { case: 'safeRegex', value: { regex: uri.value === '*' ? '.*' : uri.value } } };
  const caseSensitive = ignoreUriCase ? { caseSensitive: false } : {};
  return { pathSpecifier: { case: uri.kind === 'exact' ? 'path' : 'prefix', value: uri.value }, ...caseSensitive };
}

export function headerMatcher(name: string, match: StringMatch): HeaderMatcherInit {
  // `string_match` only: the older exact_match and prefix_match fields are deprecated, and gone from newer Envoys.
  return { name, headerMatchSpecifier: match.kind === 'present' ? { case: 'presentMatch', value: true } : { case: 'stringMatch', value: stringMatcher(match) } };
}

function pseudoHeaders({ scheme, method, authority }: HttpMatch): HeaderMatcherInit[] {
  return Object.entries({ ':scheme': scheme, ':method': method, ':authority': authority }).flatMap(([name, match]) => (match ? [headerMatcher(name, match)] : []));
}

/** An absent header counts as empty, so it passes `withoutHeaders` unless the match holds for the empty string. */
function without({ name, match }: { name: string; match: StringMatch }): HeaderMatcherInit {
  return { ...headerMatcher(name, match), invertMatch: true, treatMissingHeaderAsEmpty: match.kind !== 'present' };
}

/**
 * The same conditions for gRPC, which knows no `treat_missing_header_as_empty` and fails an inverted matcher on an absent header:
 * each such condition becomes two, "absent" or "present and different", hence several lists, any of which may hold.
 */
export function grpcHeaderAlternatives(match: HttpMatch): HeaderMatcherInit[][] {
  let alternatives: HeaderMatcherInit[][] = [match.headers.map((header) => headerMatcher(header.name, header.match))];
  for (const header of match.withoutHeaders) {
    const absent: HeaderMatcherInit = { ...headerMatcher(header.name, { kind: 'present' }), invertMatch: true };
    const different: HeaderMatcherInit = { ...headerMatcher(header.name, header.match), invertMatch: true };
    const either = header.match.kind === 'present' ? [absent] : matchesEmpty(header.match) ? [different] : [absent, different];
    alternatives = alternatives.flatMap((list) => either.map((one) => [...list, one]));
  }
  return alternatives;
}
