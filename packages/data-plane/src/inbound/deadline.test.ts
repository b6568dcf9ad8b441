import { expect, test } from 'vitest';
import { HeaderMap } from '../stream/header-map.js';
import { callerHints } from './deadline.js';

const hints = (headers: Record<string, string>) => callerHints(HeaderMap.from(headers));

test.each([['1S', 1000], ['250m', 250], ['2M', 120_000], ['1H', 3_600_000], ['1500u', 1.5], ['0m', 0], ['1', undefined], ['123456789S', undefined], ['1x', undefined]])('grpc-timeout %s is %d ms', (value, expected) => {
  expect(hints({ 'grpc-timeout': value }).timeoutMs).toBe(expected);
});

test('the smaller of both timeouts counts', () => {
  expect(hints({ 'grpc-timeout': '1S', 'x-envoy-expected-rq-timeout-ms': '200' }).timeoutMs).toBe(200);
  expect(hints({ 'x-envoy-expected-rq-timeout-ms': '2000', 'grpc-timeout': '1S' }).timeoutMs).toBe(1000);
  expect(hints({ 'x-envoy-expected-rq-timeout-ms': 'soon' }).timeoutMs).toBeUndefined();
});

test.each([
  [{ 'x-envoy-attempt-count': '2' }, true], [{ 'x-envoy-attempt-count': '1' }, false], [{ 'x-envoy-attempt-count': 'x' }, false],
  [{ 'grpc-previous-rpc-attempts': '1' }, true], [{ 'grpc-previous-rpc-attempts': '0' }, false], [{}, false],
])('%o: a retry? %s', (headers, expected) => {
  expect(hints(headers as Record<string, string>).retry).toBe(expected);
});
