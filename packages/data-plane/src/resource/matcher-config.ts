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
