// The model's string matches as xDS writes them.
import type { StringMatcherSchema } from '@weft/xds-api/core';
import type { StringMatch } from '../model/route-rule.js';
import type { Init } from './message.js';

export type StringMatcherInit = Init<typeof StringMatcherSchema>;

/** Presence is not a string match: callers use their own `present_match`. */
export function stringMatcher(match: Exclude<StringMatch, { kind: 'present' }>, ignoreCase = false): StringMatcherInit {
  if (match.kind === 'regex') return regexMatcher(match.value);
  return { matchPattern: { case: match.kind, value: match.value }, ignoreCase };
}

export function exactMatcher(value: string, ignoreCase = false): StringMatcherInit {
  return { matchPattern: { case: 'exact', value }, ignoreCase };
}

/** RE2, matches the whole string. */
export function regexMatcher(regex: string): StringMatcherInit {
  return { matchPattern: { case: 'safeRegex', value: { regex } } };
}

/** Text from a policy inside a regular expression: without this `sa/a.b` also means `aXb` (CVE-2026-39350). */
export function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Whether a match holds for the empty string, which is what an absent header counts as in `withoutHeaders`. */
export function matchesEmpty(match: StringMatch): boolean {
  if (match.kind === 'present') return false;
  if (match.kind === 'regex') return acceptsEmpty(match.value);
  return match.value === '';
}

function acceptsEmpty(regex: string): boolean {
  try {
    // Only ever run on the empty string, so backtracking cannot hurt.
    return new RegExp(`^(?:${regex})$`).test('');
  } catch {
    return false;
  }
}
