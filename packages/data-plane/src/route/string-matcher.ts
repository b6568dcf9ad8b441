import type { StringMatcherConfig } from '../resource/matcher-config.js';
import { compileRegex, type StringPredicate } from './regex.js';

/** envoy.type.matcher.v3.StringMatcher. Throws where a regex is not RE2. */
export function compileStringMatcher(config: StringMatcherConfig): StringPredicate {
  if (config.kind === 'regex') return compileRegex(config.value);
  if (config.ignoreCase) {
    const test = compare(config.kind, config.value.toLowerCase());
    return (value) => test(value.toLowerCase());
  }
  return compare(config.kind, config.value);
}

function compare(kind: 'exact' | 'prefix' | 'suffix' | 'contains', expected: string): StringPredicate {
  switch (kind) {
    case 'exact': return (value) => value === expected;
    case 'prefix': return (value) => value.startsWith(expected);
    case 'suffix': return (value) => value.endsWith(expected);
    case 'contains': return (value) => value.includes(expected);
  }
}
