// Matchers of what filters left with a request: dynamic metadata and filter state.
import {
  DoubleMatcherSchema, FilterStateMatcherSchema, ListMatcherSchema, MetadataMatcherSchema, OrMatcherSchema, ValueMatcherSchema,
  type DoubleMatcher, type FilterStateMatcher, type MetadataMatcher, type ValueMatcher,
} from '@weft/xds-api/core';
import type { FilterStateMatcherConfig, MetadataMatcherConfig, ValueMatcherConfig } from './matcher-config.js';
import { decodeStringMatcher } from './matcher.js';
import { join, knownFields, type Report } from './report.js';

const metadataFields = knownFields(MetadataMatcherSchema, ['filter', 'path', 'value', 'invert']);
const valueFields = knownFields(ValueMatcherSchema, ['null_match', 'double_match', 'string_match', 'bool_match', 'present_match', 'list_match', 'or_match']);
const doubleFields = knownFields(DoubleMatcherSchema, ['range', 'exact']);
const listFields = knownFields(ListMatcherSchema, ['one_of']);
const orFields = knownFields(OrMatcherSchema, ['value_matchers']);
const stateFields = knownFields(FilterStateMatcherSchema, ['key', 'string_match']);

// Deeper nesting is no condition anybody wrote.
const deepest = 16;

export function decodeMetadataMatcher(matcher: MetadataMatcher, path: string, report: Report): MetadataMatcherConfig {
  report.check(metadataFields, matcher, path);
  if (matcher.filter === '') report.add(join(path, 'filter'), 'must not be empty');
  if (matcher.path.length === 0) report.add(join(path, 'path'), 'must not be empty');
  const keys = matcher.path.map(({ segment }, i) => {
    if (segment.case !== 'key' || segment.value === '') report.add(`${path}.path[${i}].key`, 'must not be empty');
    return segment.value ?? '';
  });
  return { filter: matcher.filter, path: keys, value: decodeValueMatcher(matcher.value, join(path, 'value'), report), invert: matcher.invert };
}

function decodeValueMatcher(matcher: ValueMatcher | undefined, path: string, report: Report, depth = 0): ValueMatcherConfig {
  if (matcher) report.check(valueFields, matcher, path);
  const pattern = matcher?.matchPattern;
  if (depth > deepest) report.add(path, `nested more than ${deepest} deep`);
  else switch (pattern?.case) {
    case 'nullMatch': return { kind: 'null' };
    case 'boolMatch': return { kind: 'bool', value: pattern.value };
    case 'presentMatch': return { kind: 'present', present: pattern.value };
    case 'stringMatch': return { kind: 'string', matcher: decodeStringMatcher(pattern.value, join(path, 'string_match'), report) };
    case 'doubleMatch': return decodeDouble(pattern.value, join(path, 'double_match'), report);
    case 'listMatch': {
      const at = join(path, 'list_match');
      report.check(listFields, pattern.value, at);
      return { kind: 'one-of', value: decodeValueMatcher(pattern.value.matchPattern.value, join(at, 'one_of'), report, depth + 1) };
    }
    case 'orMatch': {
      const at = join(path, 'or_match');
      report.check(orFields, pattern.value, at);
      if (pattern.value.valueMatchers.length < 2) report.add(join(at, 'value_matchers'), 'must have two or more');
      return { kind: 'any-of', values: pattern.value.valueMatchers.map((one, i) => decodeValueMatcher(one, `${at}.value_matchers[${i}]`, report, depth + 1)) };
    }
    default: report.add(path, 'one of null_match, double_match, string_match, bool_match, present_match, list_match, or_match is required');
  }
  return { kind: 'null' };
}

function decodeDouble(matcher: DoubleMatcher, path: string, report: Report): ValueMatcherConfig {
  report.check(doubleFields, matcher, path);
  const { matchPattern: pattern } = matcher;
  if (pattern.case === 'exact') return { kind: 'number', start: pattern.value, end: pattern.value };
  if (pattern.case === 'range') return { kind: 'number', start: pattern.value.start, end: pattern.value.end };
  report.add(path, 'one of range, exact is required');
  return { kind: 'null' };
}

export function decodeFilterStateMatcher(matcher: FilterStateMatcher, path: string, report: Report): FilterStateMatcherConfig {
  report.check(stateFields, matcher, path);
  if (matcher.key === '') report.add(join(path, 'key'), 'must not be empty');
  if (matcher.matcher.case === 'stringMatch') return { key: matcher.key, matcher: decodeStringMatcher(matcher.matcher.value, join(path, 'string_match'), report) };
  report.add(path, 'string_match is required');
  return { key: matcher.key, matcher: { kind: 'exact', value: '', ignoreCase: false } };
}
