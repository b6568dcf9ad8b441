import { expect, test } from 'vitest';
import type { RetryPolicyConfig } from '../resource/route-config.js';
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import type { UpstreamFailure } from '../stream/response-head.js';
import { retryDelay } from './backoff.js';
import { RetryState } from './retry-state.js';

const base: RetryPolicyConfig = { retryOn: [], numRetries: 2, retriableStatusCodes: [], retriableHeaders: [], retriableRequestHeaders: [], backoff: { baseMs: 25, maxMs: 250 }, avoidPreviousHosts: false, hostSelectionAttempts: 1 };
const request = (headers: Record<string, string> = {}): RequestHead => ({ protocol: 'http', method: 'POST', scheme: 'http', authority: 'a', path: '/', headers: HeaderMap.from(headers) });
const state = (retryOn: string[], options: Partial<RetryPolicyConfig> = {}, head = request()) => RetryState.of({ ...base, retryOn, ...options }, head);
const retries = (words: string[], status: number, headers: Record<string, string> = {}, grpcStatus?: number, options: Partial<RetryPolicyConfig> = {}) =>
  state(words, options)!.retriesHead({ status, headers: HeaderMap.from(headers), ...(grpcStatus !== undefined && { grpcStatus }) });

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

test('status codes and headers of the policy need their words', () => {
  const options = { retriableStatusCodes: [418], retriableHeaders: [{ name: 'x-again', match: { kind: 'present' as const, present: true }, invert: false, treatMissingAsEmpty: false }] };
  expect(retries(['retriable-status-codes'], 418, {}, undefined, options)).toBe(true);
  expect(retries(['retriable-headers'], 200, { 'x-again': '1' }, undefined, options)).toBe(true);
  expect(retries(['5xx'], 418, { 'x-again': '1' }, undefined, options)).toBe(false);
});

test('who sheds load is not asked again, who limits rates only on request', () => {
  expect(retries(['5xx'], 503, { 'x-envoy-overloaded': 'true' })).toBe(false);
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
  ['reset-before-request', ['reset-before-request']],
  ['unavailable', []],
])('%s retries these failures', (word, expected) => {
  expect(kinds.filter((kind) => state([word])!.retriesFailure({ kind, message: '' }))).toEqual(expected);
});

test('the caller\'s headers add to the policy and are removed', () => {
  const head = request({ 'x-envoy-retry-on': '5xx, retriable-status-codes', 'x-envoy-retry-grpc-on': 'unavailable', 'x-envoy-max-retries': '7', 'x-envoy-retriable-status-codes': '418', 'x-own': '1' });
  const combined = state(['connect-failure'], {}, head)!;
  expect([...head.headers]).toEqual([['x-own', '1']]);
  expect(combined.retriesHead({ status: 500, headers: new HeaderMap() })).toBe(true);
  expect(combined.retriesHead({ status: 418, headers: new HeaderMap() })).toBe(true);
  expect(combined.retriesHead({ status: 200, grpcStatus: 14, headers: new HeaderMap() })).toBe(true);
  const places = { beginRetry: () => true, endRetry: () => {} };
  expect(Array.from({ length: 8 }, () => combined.take(places, 'default')).lastIndexOf(undefined)).toBe(6);
  expect(combined.take(places, 'default')).toBe('URX');
  expect(RetryState.of(undefined, request())).toBeUndefined();
  expect(state(['5xx'], {}, request({ 'x-envoy-max-retries': '0' }))).toBeUndefined();
});

test('request header conditions turn the policy off for others', () => {
  const options = { retriableRequestHeaders: [{ name: 'x-retry', match: { kind: 'present' as const, present: true }, invert: false, treatMissingAsEmpty: false }] };
  expect(state(['5xx'], options)).toBeUndefined();
  expect(state(['5xx'], options, request({ 'x-retry': 'yes' }))).toBeDefined();
});

test('back-off grows as 2^N − 1 up to its maximum, with full jitter', () => {
  const backoff = { baseMs: 25, maxMs: 250 };
  expect([1, 2, 3, 4, 5, 60].map((retry) => retryDelay(retry, backoff, () => 1))).toEqual([25, 75, 175, 250, 250, 250]);
  expect(retryDelay(3, backoff, () => 0)).toBe(0);
  expect(retryDelay(3, backoff, () => 0.5)).toBe(87.5);
});
