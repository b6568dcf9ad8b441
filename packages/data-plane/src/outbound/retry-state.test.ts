import { expect, test } from 'vitest';
import type { RetryPolicyConfig } from '../resource/route-config.js';
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { UpstreamFailure } from '../stream/response-head.js';
import type { HeaderMatcherConfig } from '../resource/matcher-config.js';
import { hasControlHeaders } from './control-headers.js';
import { RetryState } from './retry-state.js';

const base: RetryPolicyConfig = { retryOn: [], numRetries: 2, retriableStatusCodes: [], retriableHeaders: [], retriableRequestHeaders: [], backoff: { baseMs: 25, maxMs: 250 }, avoidPreviousHosts: false, hostSelectionAttempts: 1 };
const request = (headers: Record<string, string> = {}): RequestHead => ({ protocol: 'http', method: 'POST', scheme: 'http', authority: 'a', path: '/', headers: HeaderMap.from(headers) });
const state = (retryOn: string[], options: Partial<RetryPolicyConfig> = {}, head = request()) => RetryState.of({ ...base, retryOn, ...options }, head, hasControlHeaders(head.headers));
const present = (name: string): HeaderMatcherConfig => ({ name, match: { kind: 'present', present: true }, invert: false, treatMissingAsEmpty: false });
const retries = (words: string[], status: number, headers: Record<string, string> = {}, grpcStatus?: number, options: Partial<RetryPolicyConfig> = {}, head = request()) =>
  state(words, options, head)!.retriesHead({ status, headers: HeaderMap.from(headers), ...(grpcStatus !== undefined && { grpcStatus }) }) !== 'no';

test.each<[string, number[], number[]]>([
  ['5xx', [500, 501, 502, 503, 504, 599], [200, 404, 409, 429]],
  ['gateway-error', [502, 503, 504], [500, 501, 505]],
  ['retriable-4xx', [409], [400, 404, 429]],
  ['connect-failure', [], [500, 503]],
  ['reset', [], [500, 503]],
])('%s retries these statuses and no others', (word, yes, no) => {
  for (const status of yes) expect([status, retries([word], status)]).toEqual([status, true]);
  for (const status of no) expect([status, retries([word], status)]).toEqual([status, false]);
});

test.each([['cancelled', 1], ['deadline-exceeded', 4], ['resource-exhausted', 8], ['internal', 13], ['unavailable', 14]])('%s is gRPC status %i of a response that is only trailers', (word, code) => {
  expect(retries([word], 200, {}, code)).toBe(true);
  for (const other of [0, 1, 2, 4, 5, 8, 13, 14]) if (other !== code) expect(retries([word], 200, {}, other)).toBe(false);
  expect(retries([word], 200)).toBe(false);
});

test('a gRPC status in the headers of an HTTP response counts, too', () => {
  expect(retries(['unavailable'], 200, { 'grpc-status': '14' })).toBe(true);
  expect(retries(['unavailable'], 200, { 'grpc-status': '13' })).toBe(false);
});

test('status codes and headers of the policy need their words', () => {
  const options = { retriableStatusCodes: [418, 204], retriableHeaders: [present('x-again')] };
  expect(retries(['retriable-status-codes'], 418, {}, undefined, options)).toBe(true);
  expect(retries(['retriable-status-codes'], 204, {}, undefined, options)).toBe(true);
  expect(retries(['retriable-headers'], 200, { 'x-again': '1' }, undefined, options)).toBe(true);
  expect(retries(['5xx'], 418, { 'x-again': '1' }, undefined, options)).toBe(false);
});

test('too early is retried at once, but not where the request came as early data', () => {
  const early = { retriableStatusCodes: [425] };
  expect(state(['retriable-status-codes'], early)!.retriesHead({ status: 425, headers: new HeaderMap() })).toBe('now');
  expect(retries(['retriable-status-codes'], 425, {}, undefined, early, request({ 'early-data': '1' }))).toBe(false);
});

test('who limits rates is asked again only on request, whatever else is retriable; who sheds load is no exception (Envoy 1.40)', () => {
  expect(retries(['5xx'], 503, { 'x-envoy-overloaded': 'true' })).toBe(true);
  expect(retries(['5xx'], 503, { 'x-envoy-ratelimited': 'true' })).toBe(false);
  expect(retries(['envoy-ratelimited'], 429, { 'x-envoy-ratelimited': 'true' })).toBe(true);
  expect(retries(['envoy-ratelimited'], 429)).toBe(false);
});

const kinds: UpstreamFailure['kind'][] = ['connect-failure', 'refused-stream', 'reset-before-request', 'reset', 'per-try-timeout', 'protocol-error', 'identity'];
test.each<[string, UpstreamFailure['kind'][]]>([
  ['5xx', kinds],
  ['gateway-error', kinds],
  ['reset', kinds],
  // Nothing reached the application: safe for every method.
  ['connect-failure', ['connect-failure', 'reset-before-request', 'identity']],
  ['refused-stream', ['refused-stream']],
  ['reset-before-request', ['connect-failure', 'reset-before-request', 'identity']],
  ['unavailable', []],
  ['http3-post-connect-failure', []],
])('%s retries these failures', (word, expected) => {
  expect(kinds.filter((kind) => state([word])!.retriesFailure({ kind, message: '' }))).toEqual(expected);
});

test('reset-before-request is over once any attempt has reached a host', () => {
  const once = state(['reset-before-request', 'refused-stream'])!;
  expect(once.retriesFailure({ kind: 'connect-failure', message: '' })).toBe(true);
  expect(once.retriesFailure({ kind: 'refused-stream', message: '' })).toBe(true);
  expect(once.retriesFailure({ kind: 'connect-failure', message: '' })).toBe(false);
});

const places = { beginRetry: () => true, endRetry: () => {} };

test('the caller\'s headers add to the policy and are removed', () => {
  const head = request({ 'x-envoy-retry-on': '5xx, retriable-status-codes', 'x-envoy-retry-grpc-on': 'unavailable', 'x-envoy-max-retries': '7', 'x-envoy-retriable-status-codes': '418, 419', 'x-own': '1' });
  const combined = state(['connect-failure'], {}, head)!;
  expect([...head.headers]).toEqual([['x-own', '1']]);
  for (const [status, grpcStatus] of [[500], [418], [419], [200, 14]] as const) {
    expect(combined.retriesHead({ status, headers: new HeaderMap(), ...(grpcStatus !== undefined && { grpcStatus }) })).toBe('later');
  }
  expect(Array.from({ length: 8 }, () => combined.take(places, 'default')).lastIndexOf(undefined)).toBe(6);
  expect(combined.take(places, 'default')).toBe('URX');
  expect(RetryState.of(undefined, request(), false)).toBeUndefined();
  expect(state(['5xx'], {}, request({ 'x-envoy-max-retries': '0' }))!.take(places, 'default')).toBe('URX');
});

test('each header knows only its own words, and numbers without words change nothing', () => {
  expect(RetryState.of(undefined, request({ 'x-envoy-retry-on': 'unavailable' }), true)).toBeUndefined();
  expect(RetryState.of(undefined, request({ 'x-envoy-retry-grpc-on': '5xx' }), true)).toBeUndefined();
  const head = request({ 'x-envoy-max-retries': '3', 'x-envoy-retriable-status-codes': '418' });
  expect([RetryState.of(undefined, head, true), [...head.headers]]).toEqual([undefined, []]);
});

test('names of retriable headers come from the caller in any case', () => {
  const named = state([], {}, request({ 'x-envoy-retry-on': 'retriable-headers', 'x-envoy-retriable-header-names': 'X-Again, x-more' }))!;
  expect(named.retriesHead({ status: 200, headers: HeaderMap.from({ 'x-again': '' }) })).toBe('later');
  expect(named.retriesHead({ status: 200, headers: HeaderMap.from({ 'x-other': '' }) })).toBe('no');
});

test('request header conditions turn the policy off for others, with what their headers ask for', () => {
  const options = { retriableRequestHeaders: [present('x-retry')] };
  const head = request({ 'x-envoy-retry-on': '5xx' });
  expect([state(['5xx'], options, head), [...head.headers]]).toEqual([undefined, []]);
  expect(state(['5xx'], options, request({ 'x-retry': 'yes' }))).toBeDefined();
});

test('a response says how long to wait, within the maximum of the policy', () => {
  const rateLimitedBackoff = { resetHeaders: [{ name: 'retry-after', format: 'seconds' as const }, { name: 'x-ratelimit-reset', format: 'unix-timestamp' as const }], maxMs: 300_000 };
  const limited = state(['5xx'], { rateLimitedBackoff })!;
  limited.take(places, 'default');
  const delay = (headers: Record<string, string>, random = 0) => limited.delayMs({ status: 503, headers: HeaderMap.from(headers) }, () => random);
  const now = Math.floor(Date.now() / 1000);
  expect([delay({ 'retry-after': '10' }), delay({ 'retry-after': '10' }, 0.9999)]).toEqual([10_000, 14_999]);
  expect(delay({ 'x-ratelimit-reset': String(now + 100) })).toBeGreaterThan(98_000);
  // Too long, a date, in the past: not believed; then the next header or the ordinary back-off.
  expect(delay({ 'retry-after': '301', 'x-ratelimit-reset': String(now + 5) })).toBeGreaterThan(3000);
  for (const headers of [{ 'retry-after': '301' }, { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }, { 'x-ratelimit-reset': String(now - 10) }, { 'retry-after': '0' }]) expect(delay(headers, 0.5)).toBe(12);
});
