import type { CookieMatcherConfig } from '../resource/matcher-config.js';
import type { RequestHead } from '../stream/request-head.js';
import { compileStringMatcher } from './string-matcher.js';

/** envoy.config.route.v3.CookieMatcher. A missing cookie matches only where the matcher is inverted. */
export function compileCookieMatcher({ name, matcher, invert }: CookieMatcherConfig): (head: RequestHead) => boolean {
  const test = compileStringMatcher(matcher);
  return (head) => {
    const value = cookie(head, name);
    return (value !== undefined && test(value)) !== invert;
  };
}

/** The first cookie of that name, without its quotes. */
export function cookie(head: RequestHead, name: string): string | undefined {
  for (const header of head.headers.all('cookie')) {
    for (const pair of header.split(';')) {
      const equals = pair.indexOf('=');
      if (equals === -1 || pair.slice(0, equals).trim() !== name) continue;
      const value = pair.slice(equals + 1).trim();
      return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
    }
  }
  return undefined;
}
