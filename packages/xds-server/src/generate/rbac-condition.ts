// The common ground of RBAC permissions and principals: lists of values, negation, and what cannot be expressed.
import { isIP } from 'node:net';
import type { CidrRangeSchema } from '@weft/xds-api/core';
import type { HeaderMatcherSchema } from '@weft/xds-api/route';
import type { ProfileName } from './generator.js';
import type { Init } from './message.js';
import { escapeRegex, exactMatcher, regexMatcher, type StringMatcherInit } from './string-match.js';

export interface RbacScope {
  profile: ProfileName;
  trustDomain: string;
  /** The port carries bytes: nothing of HTTP can be asked for. */
  bytes: boolean;
  /** A port as policies name it (the declared one) → the number that stands for it on this listener. */
  localPort(declared: number): number;
}

/** `undefined`: the client cannot evaluate it. ALLOW then loses the whole rule and DENY the field: both deny more. */
export type Condition<T> = T | undefined;

/** How permissions and principals are put together. */
export interface Algebra<T> {
  any(): T;
  and(all: T[]): T;
  or(any: T[]): T;
  not(one: T): T;
}

/** Any of `values`, none of `notValues`. Empty lists do not restrict. */
export function field<T>(algebra: Algebra<T>, values: readonly string[], notValues: readonly string[], one: (value: string) => Condition<T>): Condition<T>[] {
  const conditions: Condition<T>[] = [];
  if (values.length > 0) conditions.push(either(algebra, values, one));
  if (notValues.length > 0) {
    const positive = either(algebra, notValues, one);
    conditions.push(positive && algebra.not(positive));
  }
  return conditions;
}

function either<T>(algebra: Algebra<T>, values: readonly string[], one: (value: string) => Condition<T>): Condition<T> {
  const matchers = values.map(one);
  // Leaving one value out would deny more for ALLOW but less for DENY and notValues: the field stands or falls as a whole.
  if (matchers.some((matcher) => matcher === undefined)) return undefined;
  return collapse(matchers as T[], algebra.or);
}

/** @returns undefined where the rule must be dropped. */
export function allOf<T>(algebra: Algebra<T>, conditions: readonly Condition<T>[], dropRule: boolean): T | undefined {
  const known = conditions.filter((condition) => condition !== undefined) as T[];
  if (known.length < conditions.length && dropRule) return undefined;
  return known.length === 0 ? algebra.any() : collapse(known, algebra.and);
}

function collapse<T>(list: T[], combine: (list: T[]) => T): T {
  const [only] = list;
  return list.length === 1 && only !== undefined ? only : combine(list);
}

/** `abc`, `abc*`, `*abc`; `*` is for the caller: what "any" means differs. */
export function wildcardMatcher(value: string, ignoreCase = false): StringMatcherInit {
  if (value.endsWith('*')) return { matchPattern: { case: 'prefix', value: value.slice(0, -1) }, ignoreCase };
  if (value.startsWith('*')) return { matchPattern: { case: 'suffix', value: value.slice(1) }, ignoreCase };
  return exactMatcher(value, ignoreCase);
}

export function headerCondition(name: string, value: string): Init<typeof HeaderMatcherSchema> {
  if (value === '*') return { name, headerMatchSpecifier: { case: 'presentMatch', value: true } };
  return { name, headerMatchSpecifier: { case: 'stringMatch', value: wildcardMatcher(value) } };
}

/** An authority with any port or none: `Host: admin.example.com:80` must not escape a rule for `admin.example.com`. */
export function hostMatchers(host: string): StringMatcherInit[] {
  const match = wildcardMatcher(host, true);
  if (host.endsWith('*') || /:\d+$/.test(host)) return [match];
  if (host.startsWith('*')) return [match, regexMatcher(`(?i).*${escapeRegex(host.slice(1))}:[0-9]+`)];
  return [match, { matchPattern: { case: 'prefix', value: `${host}:` }, ignoreCase: true }];
}

export function cidr(block: string): Condition<Init<typeof CidrRangeSchema>> {
  const [address = '', length, ...rest] = block.split('/');
  const family = isIP(address);
  const bits = family === 6 ? 128 : 32;
  const prefixLen = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (family === 0 || rest.length > 0 || !(prefixLen <= bits)) return undefined;
  return { addressPrefix: address, prefixLen };
}
