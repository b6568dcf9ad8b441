// What a route matches.
import { UriTemplateMatchConfigSchema } from '@weft/xds-api/filter-rbac';
import { CookieMatcherSchema, RouteMatch_TlsContextMatchOptionsSchema, RouteMatchSchema, type CookieMatcher, type RouteMatch } from '@weft/xds-api/route';
import type { CookieMatcherConfig } from './matcher-config.js';
import { decodeHeaderMatcher, decodeQueryParameterMatcher, decodeRegex, decodeStringMatcher } from './matcher.js';
import { decodeFilterStateMatcher, decodeMetadataMatcher } from './metadata-matcher.js';
import { join, knownFields, type Report } from './report.js';
import type { RouteMatchConfig } from './route-config.js';
import { runtimeFraction, unpack } from './value.js';

const matchFields = knownFields(RouteMatchSchema, ['prefix', 'path', 'safe_regex', 'path_separated_prefix', 'path_match_policy', 'connect_matcher', 'case_sensitive', 'runtime_fraction', 'headers', 'query_parameters', 'cookies', 'grpc', 'tls_context', 'dynamic_metadata', 'filter_state']);
const tlsMatchFields = knownFields(RouteMatch_TlsContextMatchOptionsSchema, ['presented', 'validated']);
const uriTemplateFields = knownFields(UriTemplateMatchConfigSchema, ['path_template']);
const cookieFields = knownFields(CookieMatcherSchema, ['name', 'string_match', 'invert_match']);

export function decodeRouteMatch(match: RouteMatch, path: string, report: Report): RouteMatchConfig | undefined {
  report.check(matchFields, match, path);
  const pathMatch = decodePathMatch(match, path, report);
  const part = runtimeFraction(match.runtimeFraction, join(path, 'runtime_fraction'), report);
  if (match.tlsContext) report.check(tlsMatchFields, match.tlsContext, join(path, 'tls_context'));
  const tlsPresented = match.tlsContext?.presented;
  const tlsValidated = match.tlsContext?.validated;
  return pathMatch && {
    path: pathMatch,
    headers: match.headers.map((matcher, i) => decodeHeaderMatcher(matcher, `${path}.headers[${i}]`, report)),
    queryParameters: match.queryParameters.flatMap((matcher, i) => decodeQueryParameterMatcher(matcher, `${path}.query_parameters[${i}]`, report) ?? []),
    ...(part && { runtimeFraction: part }),
    grpc: match.grpc !== undefined,
    ...(tlsPresented !== undefined && { tlsPresented }),
    ...(tlsValidated !== undefined && { tlsValidated }),
    ...(match.cookies.length > 0 && { cookies: match.cookies.map((matcher, i) => decodeCookieMatcher(matcher, `${path}.cookies[${i}]`, report)) }),
    ...(match.dynamicMetadata.length > 0 && { dynamicMetadata: match.dynamicMetadata.map((matcher, i) => decodeMetadataMatcher(matcher, `${path}.dynamic_metadata[${i}]`, report)) }),
    ...(match.filterState.length > 0 && { filterState: match.filterState.map((matcher, i) => decodeFilterStateMatcher(matcher, `${path}.filter_state[${i}]`, report)) }),
  };
}

function decodePathMatch(match: RouteMatch, path: string, report: Report): RouteMatchConfig['path'] | undefined {
  const { pathSpecifier: specifier } = match;
  const caseSensitive = match.caseSensitive ?? true;
  switch (specifier.case) {
    case 'prefix':
      return { kind: 'prefix', value: specifier.value, caseSensitive };
    case 'path':
      return { kind: 'exact', value: specifier.value, caseSensitive };
    case 'pathSeparatedPrefix':
      return { kind: 'path-separated-prefix', value: specifier.value, caseSensitive };
    case 'safeRegex':
      return { kind: 'regex', value: decodeRegex(specifier.value, join(path, 'safe_regex'), report) };
    case 'pathMatchPolicy': {
      const at = join(path, 'path_match_policy.typed_config');
      const { typedConfig } = specifier.value;
      const template = typedConfig ? unpack(typedConfig, UriTemplateMatchConfigSchema, at, report) : undefined;
      if (!typedConfig) report.add(at, 'is required');
      if (template) report.check(uriTemplateFields, template, at);
      return template && { kind: 'uri-template', value: template.pathTemplate };
    }
    case 'connectMatcher':
      return { kind: 'connect' };
    default:
      report.add(path, 'one of prefix, path, safe_regex, path_separated_prefix, path_match_policy, connect_matcher is required');
      return undefined;
  }
}

function decodeCookieMatcher(matcher: CookieMatcher, path: string, report: Report): CookieMatcherConfig {
  report.check(cookieFields, matcher, path);
  if (matcher.name === '') report.add(join(path, 'name'), 'must not be empty');
  if (!matcher.stringMatch) report.add(join(path, 'string_match'), 'is required');
  const value = matcher.stringMatch && decodeStringMatcher(matcher.stringMatch, join(path, 'string_match'), report);
  return { name: matcher.name, matcher: value ?? { kind: 'exact', value: '', ignoreCase: false }, invert: matcher.invertMatch };
}
