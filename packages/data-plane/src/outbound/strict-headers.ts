// The router's strict_check_headers (Envoy's FilterUtility::StrictHeaderChecker): control headers that make no sense are the caller's error instead of ignored.
import type { HeaderMap } from '../stream/header-map.js';
import type { LocalReply } from '../stream/local-reply.js';
import { isGrpcRetryWord, isRetryWord } from './retry-rules.js';

export function strictHeaderCheck(headers: HeaderMap, names: readonly string[]): LocalReply | undefined {
  for (const name of names) {
    const value = headers.get(name);
    if (value === undefined || isValid(name, value)) continue;
    return { status: 400, body: `invalid header '${name}' with value '${value}'`, flag: 'IH', details: 'request_headers_failed_strict_check' };
  }
  return undefined;
}

function isValid(name: string, value: string): boolean {
  if (name === 'x-envoy-retry-on') return words(value).every(isRetryWord);
  if (name === 'x-envoy-retry-grpc-on') return words(value).every(isGrpcRetryWord);
  return /^\s*\d{1,10}\s*$/.test(value) && Number(value) < 2 ** 32;
}

function words(value: string): string[] {
  return value.split(',').map((word) => word.trim()).filter((word) => word !== '');
}
