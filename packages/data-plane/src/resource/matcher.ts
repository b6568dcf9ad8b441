// String, header and query parameter matchers. RBAC and route matching share them.
import { RegexMatcherSchema, StringMatcherSchema, type RegexMatcher, type RegexMatchAndSubstitute, type StringMatcher } from '@weft/xds-api/core';
import { HeaderMatcherSchema, QueryParameterMatcherSchema, type HeaderMatcher, type QueryParameterMatcher } from '@weft/xds-api/route';
import type { HeaderMatcherConfig, QueryParameterMatcherConfig, StringMatcherConfig } from './matcher-config.js';
import { compileRe2 } from '../route/re2.js';
import { join, knownFields, type Report } from './report.js';
import type { RegexRewriteConfig } from './route-config.js';

const regexFields = knownFields(RegexMatcherSchema, ['regex'], ['google_re2']);
const stringFields = knownFields(StringMatcherSchema, ['exact', 'prefix', 'suffix', 'safe_regex', 'contains', 'ignore_case'], [], ['custom']);
const headerFields = knownFields(HeaderMatcherSchema, ['name', 'exact_match', 'safe_regex_match', 'range_match', 'present_match', 'prefix_match', 'suffix_match', 'contains_match', 'string_match', 'invert_match', 'treat_missing_header_as_empty']);
const queryFields = knownFields(QueryParameterMatcherSchema, ['name', 'string_match', 'present_match']);

/** The pattern, where RE2 takes it. */
export function decodeRegex(matcher: RegexMatcher, path: string, report: Report): string {
  report.check(regexFields, matcher, path);
  if (matcher.regex === '') report.add(join(path, 'regex'), 'must not be empty');
  report.attempt(join(path, 'regex'), () => void compileRe2(matcher.regex));
  return matcher.regex;
}

export function decodeRegexRewrite(rewrite: RegexMatchAndSubstitute, path: string, report: Report): RegexRewriteConfig {
  if (!rewrite.pattern) report.add(join(path, 'pattern'), 'is required');
  return { pattern: rewrite.pattern ? decodeRegex(rewrite.pattern, join(path, 'pattern'), report) : '', substitution: rewrite.substitution };
}

export function decodeStringMatcher(matcher: StringMatcher, path: string, report: Report): StringMatcherConfig {
  report.check(stringFields, matcher, path);
  const { matchPattern: pattern, ignoreCase } = matcher;
  switch (pattern.case) {
    case 'exact':
      return { kind: 'exact', value: pattern.value, ignoreCase };
    case 'prefix':
    case 'suffix':
    case 'contains':
      if (pattern.value === '') report.add(join(path, pattern.case), 'must not be empty');
      return { kind: pattern.case, value: pattern.value, ignoreCase };
    case 'safeRegex':
      return { kind: 'regex', value: decodeRegex(pattern.value, join(path, 'safe_regex'), report) };
    case 'custom':
      report.unsupported(join(path, 'custom'));
      break;
    default:
      report.add(path, 'one of exact, prefix, suffix, contains, safe_regex is required');
  }
  return { kind: 'exact', value: '', ignoreCase };
}

/** `name` comes in lower case. */
export function decodeHeaderMatcher(matcher: HeaderMatcher, path: string, report: Report): HeaderMatcherConfig {
  report.check(headerFields, matcher, path);
  if (matcher.name === '') report.add(join(path, 'name'), 'must not be empty');
  return {
    name: matcher.name.toLowerCase(),
    match: headerMatch(matcher.headerMatchSpecifier, path, report),
    invert: matcher.invertMatch,
    treatMissingAsEmpty: matcher.treatMissingHeaderAsEmpty,
  };
}

function headerMatch(specifier: HeaderMatcher['headerMatchSpecifier'], path: string, report: Report): HeaderMatcherConfig['match'] {
  switch (specifier.case) {
    case 'stringMatch':
      return { kind: 'string', matcher: decodeStringMatcher(specifier.value, join(path, 'string_match'), report) };
    case 'rangeMatch': {
      const { start, end } = specifier.value;
      if (end < start) report.add(join(path, 'range_match'), 'end must not be less than start');
      return { kind: 'range', start, end };
    }
    case 'safeRegexMatch':
      return { kind: 'string', matcher: { kind: 'regex', value: decodeRegex(specifier.value, join(path, 'safe_regex_match'), report) } };
    case 'exactMatch':
      return { kind: 'string', matcher: { kind: 'exact', value: specifier.value, ignoreCase: false } };
    case 'prefixMatch':
    case 'suffixMatch':
    case 'containsMatch': {
      const kind = specifier.case.slice(0, -'Match'.length) as 'prefix' | 'suffix' | 'contains';
      if (specifier.value === '') report.add(join(path, `${kind}_match`), 'must not be empty');
      return { kind: 'string', matcher: { kind, value: specifier.value, ignoreCase: false } };
    }
    case 'presentMatch':
      return { kind: 'present', present: specifier.value };
    default:
      // Envoy: without a specifier the header's presence is what counts.
      return { kind: 'present', present: true };
  }
}

export function decodeQueryParameterMatcher(matcher: QueryParameterMatcher, path: string, report: Report): QueryParameterMatcherConfig | undefined {
  report.check(queryFields, matcher, path);
  if (matcher.name === '') report.add(join(path, 'name'), 'must not be empty');
  const specifier = matcher.queryParameterMatchSpecifier;
  if (specifier.case === 'stringMatch') return { name: matcher.name, matcher: decodeStringMatcher(specifier.value, join(path, 'string_match'), report) };
  if (specifier.case === 'presentMatch' && !specifier.value) report.add(join(path, 'present_match'), 'false is not supported');
  return { name: matcher.name };
}
