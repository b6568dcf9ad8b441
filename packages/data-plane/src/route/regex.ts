// RE2 patterns of the configuration, with plain string comparison where the pattern allows it (30 times cheaper).
import type { RegexRewriteConfig } from '../resource/route-config.js';
import { compileRe2 } from './re2.js';

export type StringPredicate = (value: string) => boolean;

/** A test whether the whole string matches, which is what Envoy's `safe_regex` means. Throws where the pattern is not RE2. */
export function compileRegex(pattern: string): StringPredicate {
  // Also compiled where a shortcut follows: a pattern that RE2 rejects must not pass because it looked plain.
  const regex = compileRe2(pattern);
  const quick = shortcut(pattern);
  if (quick) return quick;
  const start = literalStart(pattern);
  // Most of what is asked does not match, and shows it in its first letters.
  return start === '' ? (value) => regex.testExact(value) : (value) => value.startsWith(start) && regex.testExact(value);
}

/** What every match starts with; empty where that is not plain to see. */
function literalStart(pattern: string): string {
  // An alternative may start otherwise; flags, which may fold case, stand in groups.
  if (pattern.includes('|')) return '';
  const literal = /^\^?((?:[\w/~:=&%@!,;"'<> -]|\\[^A-Za-z0-9])*)(.?)/s.exec(pattern);
  const [, text = '', next = ''] = literal ?? [];
  // A quantifier belongs to the last letter, which may then be missing.
  const kept = /[*?{+]/.test(next) ? text.replace(/(?:\\.|[^\\])$/s, '') : text;
  return kept.replace(/\\(.)/gs, '$1');
}

/** Replaces every match (`\0` to `\9` in the substitution are groups), as RE2's GlobalReplace does. */
export function compileRegexRewrite({ pattern, substitution }: RegexRewriteConfig): (value: string) => string {
  const regex = compileRe2(pattern);
  const parts = substitutionParts(substitution, regex.groupCount());
  return (value) => {
    const matcher = regex.matcher(value);
    let result = '';
    let from = 0;
    let matched = false;
    while (matcher.find()) {
      // RE2 takes no empty match right after another: `.*` matches once.
      if (matched && matcher.end() === from) continue;
      matched = true;
      result += value.slice(from, matcher.start());
      for (const part of parts) result += typeof part === 'string' ? part : (matcher.group(part) ?? '');
      from = matcher.end();
    }
    return result + value.slice(from);
  };
}

function substitutionParts(substitution: string, groups: number): (string | number)[] {
  const parts: (string | number)[] = [];
  let text = '';
  for (let i = 0; i < substitution.length; i++) {
    const char = substitution[i] as string;
    if (char !== '\\') {
      text += char;
      continue;
    }
    const next = substitution[++i];
    if (next === '\\') text += '\\';
    else if (next !== undefined && next >= '0' && next <= '9') {
      if (Number(next) > groups) throw new Error(`substitution ${substitution} names group ${next}, the pattern has ${groups}`);
      parts.push(text, Number(next));
      text = '';
    } else throw new Error(`substitution ${substitution}: a backslash must be followed by a digit or a backslash`);
  }
  parts.push(text);
  return parts;
}

function shortcut(pattern: string): StringPredicate | undefined {
  const branches = unwrap(pattern).split(/(?<!\\)\|/).map(parseBranch);
  if (branches.some((branch) => branch === undefined)) return undefined;
  const known = branches as Branch[];
  if (known.length === 1) return predicate(known[0] as Branch);
  if (known.every(({ before, after }) => before === 'none' && after === 'none')) {
    const values = new Set(known.map(({ text }) => text));
    return (value) => values.has(value);
  }
  const predicates = known.map(predicate);
  return (value) => predicates.some((test) => test(value));
}

/** Anchors say nothing under full match, nor does one group around everything. `^a|b$` keeps its anchors: each belongs to a branch. */
function unwrap(pattern: string): string {
  const group = /^\^?\((?:\?:)?((?:[^()[\]\\]|\\[^A-Za-z0-9])*)\)\$?$/.exec(pattern);
  if (group) return group[1] as string;
  if (pattern.includes('|')) return pattern;
  const text = pattern.startsWith('^') ? pattern.slice(1) : pattern;
  return text.endsWith('$') && !text.endsWith('\\$') ? text.slice(0, -1) : text;
}

type Wildcard = 'none' | 'any' | 'some';

interface Branch {
  before: Wildcard;
  text: string;
  after: Wildcard;
}

/** `literal`, `literal.*`, `.*literal`, `.+literal.*` and so on; anything else is left to RE2. */
function parseBranch(branch: string): Branch | undefined {
  const match = /^(\.[*+])?((?:[^\\.+*?()|[\]{}^$]|\\[^A-Za-z0-9])*)(\.[*+])?$/s.exec(branch);
  if (!match) return undefined;
  const [, before, text = '', after] = match;
  // `.*` alone would be read as "before" with nothing else; two wildcards around nothing are too rare to matter.
  if (before !== undefined && after !== undefined && text === '') return undefined;
  return { before: wildcard(before), text: text.replace(/\\(.)/gs, '$1'), after: wildcard(after) };
}

function wildcard(text: string | undefined): Wildcard {
  return text === undefined ? 'none' : text === '.*' ? 'any' : 'some';
}

function predicate({ before, text, after }: Branch): StringPredicate {
  if (before === 'none' && after === 'none') return (value) => value === text;
  // RE2's dot does not match a line feed; values of HTTP have none, other strings may.
  if (after === 'none') {
    const least = text.length + (before === 'some' ? 1 : 0);
    return (value) => value.length >= least && value.endsWith(text) && noLineFeed(value, 0, value.length - text.length);
  }
  if (before === 'none') {
    const least = text.length + (after === 'some' ? 1 : 0);
    return (value) => value.length >= least && value.startsWith(text) && noLineFeed(value, text.length, value.length);
  }
  const start = before === 'some' ? 1 : 0;
  const end = after === 'some' ? 1 : 0;
  return (value) => {
    const at = value.indexOf(text, start);
    return at !== -1 && at + text.length + end <= value.length && !value.includes('\n');
  };
}

function noLineFeed(value: string, from: number, to: number): boolean {
  const at = value.indexOf('\n', from);
  return at === -1 || at >= to;
}
