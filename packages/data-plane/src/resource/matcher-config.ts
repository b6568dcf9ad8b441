// Matchers as xDS configures them, decoded. Compiled forms live in route/.

export type StringMatcherConfig =
  | { kind: 'exact' | 'prefix' | 'suffix' | 'contains'; value: string; ignoreCase: boolean }
  /** RE2 syntax; must match the whole string. */
  | { kind: 'regex'; value: string };

export interface HeaderMatcherConfig {
  name: string;
  match: { kind: 'present'; present: boolean } | { kind: 'range'; start: bigint; end: bigint } | { kind: 'string'; matcher: StringMatcherConfig };
  invert: boolean;
  treatMissingAsEmpty: boolean;
}

export interface QueryParameterMatcherConfig {
  name: string;
  /** Absent: presence. */
  matcher?: StringMatcherConfig;
}

export interface FractionConfig {
  numerator: number;
  denominator: number;
}

export interface CookieMatcherConfig {
  name: string;
  matcher: StringMatcherConfig;
  invert: boolean;
}

/** Of dynamic metadata: what the filter left at that path. */
export interface MetadataMatcherConfig {
  filter: string;
  path: readonly string[];
  value: ValueMatcherConfig;
  invert: boolean;
}

export type ValueMatcherConfig =
  | { kind: 'null' }
  /** In [start, end), or the number itself where both are the same. */
  | { kind: 'number'; start: number; end: number }
  | { kind: 'string'; matcher: StringMatcherConfig }
  | { kind: 'bool'; value: boolean }
  | { kind: 'present'; present: boolean }
  /** A list that holds one which matches. */
  | { kind: 'one-of'; value: ValueMatcherConfig }
  | { kind: 'any-of'; values: readonly ValueMatcherConfig[] };

export interface FilterStateMatcherConfig {
  key: string;
  matcher: StringMatcherConfig;
}
