import type { QueryParameterMatcherConfig } from '../resource/matcher-config.js';
import { compileStringMatcher } from './string-matcher.js';

/** envoy.config.route.v3.QueryParameterMatcher over a path with its query. */
export function compileQueryMatcher({ name, matcher }: QueryParameterMatcherConfig): (path: string) => boolean {
  if (!matcher) return (path) => queryParameter(path, name) !== undefined;
  const test = compileStringMatcher(matcher);
  return (path) => {
    const value = queryParameter(path, name);
    return value !== undefined && test(value);
  };
}

/** The first value of a parameter, not decoded: Envoy compares it as it stands. `undefined` where it is not there. */
export function queryParameter(path: string, name: string): string | undefined {
  let from = path.indexOf('?') + 1;
  if (from === 0) return undefined;
  const fragment = path.indexOf('#', from);
  const end = fragment === -1 ? path.length : fragment;
  while (from <= end) {
    let to = path.indexOf('&', from);
    if (to === -1 || to > end) to = end;
    if (path.startsWith(name, from)) {
      const after = from + name.length;
      if (after === to) return '';
      if (after < to && path.charCodeAt(after) === 61) return path.slice(after + 1, to);
    }
    from = to + 1;
  }
  return undefined;
}
