import type { HeaderMatcherConfig } from '../resource/matcher-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { HeaderMap } from '../stream/header-map.js';
import { requestHeader } from './request-header.js';
import { compileStringMatcher } from './string-matcher.js';

export type HeaderMatcher = (head: RequestHead) => boolean;

/**
 * envoy.config.route.v3.HeaderMatcher over a request. A header that is there several times matches where one of its values does, as in
 * Envoy; of gRPC its values count as one, joined by commas (gRFC A28). Throws where a regex is not RE2.
 */
export function compileHeaderMatcher(config: HeaderMatcherConfig): HeaderMatcher {
  const name = config.name.toLowerCase();
  const { value, any } = compileValue(config);
  if (name.startsWith(':') || name === 'host') return (head) => value(requestHeader(head, name));
  return (head) => (head.protocol === 'grpc' ? value(requestHeader(head, name)) : any(head.headers, name));
}

/** The same over the headers of a response (retriable_headers). `status` answers `:status`. */
export function compileResponseHeaderMatcher(config: HeaderMatcherConfig): (headers: HeaderMap, status: number) => boolean {
  const name = config.name.toLowerCase();
  const { value, any } = compileValue(config);
  return (headers, status) => (name === ':status' ? value(String(status)) : any(headers, name));
}

interface ValueMatcher {
  value(value: string | undefined): boolean;
  any(headers: HeaderMap, name: string): boolean;
}

function compileValue({ match, invert, treatMissingAsEmpty }: HeaderMatcherConfig): ValueMatcher {
  if (match.kind === 'present') {
    const { present } = match;
    const value = (text: string | undefined) => ((text !== undefined || treatMissingAsEmpty) === present) !== invert;
    return { value, any: (headers, name) => value(headers.get(name)) };
  }
  const test = match.kind === 'range' ? inRange(match.start, match.end) : compileStringMatcher(match.matcher);
  // An inverted matcher on a missing header is still no match (HeaderMatcher.treat_missing_header_as_empty).
  const missing = treatMissingAsEmpty && test('') !== invert;
  return {
    value: (text) => (text === undefined ? missing : test(text) !== invert),
    any({ raw }, name) {
      let found = false;
      for (let i = 0; i < raw.length; i += 2) {
        if (raw[i] !== name) continue;
        if (test(raw[i + 1] as string)) return !invert;
        found = true;
      }
      return found ? invert : missing;
    },
  };
}

/** Decimal integers in [start, end). */
function inRange(start: bigint, end: bigint): (value: string) => boolean {
  return (value) => {
    if (!/^[+-]?\d{1,19}$/.test(value)) return false;
    const number = BigInt(value.startsWith('+') ? value.slice(1) : value);
    return number >= start && number < end;
  };
}
