// Matchers in words, for `weft explain`: what they ask for.
import type { HeaderMatcherConfig, StringMatcherConfig, ValueMatcherConfig } from '../resource/matcher-config.js';
import type { RouteMatchConfig } from '../resource/route-config.js';

export function describePath(path: RouteMatchConfig['path']): string {
  switch (path.kind) {
    case 'connect': return 'method CONNECT';
    case 'regex': return `path regex ${quoted(path.value)}`;
    case 'uri-template': return `path template ${quoted(path.value)}`;
    case 'exact': return `path ${quoted(path.value)}${ignoring(!path.caseSensitive)}`;
    case 'prefix': return `path prefix ${quoted(path.value)}${ignoring(!path.caseSensitive)}`;
    case 'path-separated-prefix': return `path-separated prefix ${quoted(path.value)}${ignoring(!path.caseSensitive)}`;
  }
}

export function describeHeader({ name, match, invert, treatMissingAsEmpty }: HeaderMatcherConfig): string {
  const not = invert ? 'not ' : '';
  const missing = treatMissingAsEmpty ? ' (missing is empty)' : '';
  switch (match.kind) {
    case 'present': return `header ${name} ${match.present === invert ? 'absent' : 'present'}${missing}`;
    case 'range': return `header ${name} ${not}in [${match.start}, ${match.end})${missing}`;
    case 'string': return `header ${name} ${not}${describeString(match.matcher)}${missing}`;
  }
}

export function describeString(matcher: StringMatcherConfig): string {
  return `${matcher.kind} ${quoted(matcher.value)}${ignoring(matcher.kind !== 'regex' && matcher.ignoreCase)}`;
}

export function describeValue(value: ValueMatcherConfig): string {
  switch (value.kind) {
    case 'null': return 'null';
    case 'number': return value.start === value.end ? `${value.start}` : `in [${value.start}, ${value.end})`;
    case 'string': return describeString(value.matcher);
    case 'bool': return `${value.value}`;
    case 'present': return value.present ? 'present' : 'never (present_match: false)';
    case 'one-of': return `with one item ${describeValue(value.value)}`;
    case 'any-of': return value.values.map(describeValue).join(' or ');
  }
}

export function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

function ignoring(case_: boolean): string {
  return case_ ? ' (any case)' : '';
}
