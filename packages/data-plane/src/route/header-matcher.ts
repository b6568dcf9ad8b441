import type { HeaderMatcherConfig } from '../resource/matcher-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { HeaderMap } from '../stream/header-map.js';
import { requestHeader } from './request-header.js';
import { compileStringMatcher } from './string-matcher.js';

export type HeaderMatcher = (head: RequestHead) => boolean;

/** envoy.config.route.v3.HeaderMatcher over a request. Throws where a regex is not RE2. */
export function compileHeaderMatcher(config: HeaderMatcherConfig): HeaderMatcher {
  const name = config.name.toLowerCase();
  const test = compileValue(config);
  return (head) => test(requestHeader(head, name));
}

/** The same over the headers of a response (retriable_headers). `status` answers `:status`. */
export function compileResponseHeaderMatcher(config: HeaderMatcherConfig): (headers: HeaderMap, status: number) => boolean {
  const name = config.name.toLowerCase();
  const test = compileValue(config);
  return (headers, status) => test(name === ':status' ? String(status) : headers.joined(name));
}

function compileValue({ match, invert, treatMissingAsEmpty }: HeaderMatcherConfig): (value: string | undefined) => boolean {
  if (match.kind === 'present') {
    const { present } = match;
    return (value) => ((value !== undefined || treatMissingAsEmpty) === present) !== invert;
  }
  const test = match.kind === 'range' ? inRange(match.start, match.end) : compileStringMatcher(match.matcher);
  // An inverted matcher on a missing header is still no match (HeaderMatcher.treat_missing_header_as_empty).
  return (value) => (value === undefined ? treatMissingAsEmpty && test('') !== invert : test(value) !== invert);
}

/** Decimal integers in [start, end). */
function inRange(start: bigint, end: bigint): (value: string) => boolean {
  return (value) => {
    if (!/^[+-]?\d{1,19}$/.test(value)) return false;
    const number = BigInt(value.startsWith('+') ? value.slice(1) : value);
    return number >= start && number < end;
  };
}
