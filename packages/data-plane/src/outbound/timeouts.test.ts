import { expect, test } from 'vitest';
import type { ForwardActionConfig } from '../resource/route-config.js';
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import { timeoutsOf } from './timeouts.js';

const action = (options: Partial<ForwardActionConfig> = {}) => ({ timeoutMs: 0, ...options }) as ForwardActionConfig;
const head = (headers: Record<string, string> = {}, protocol: 'http' | 'grpc' = 'http'): RequestHead => ({ protocol, method: 'GET', scheme: 'http', authority: 'a', path: '/', headers: HeaderMap.from(headers) });
const none = { remainingMs: Infinity, listenerStreamMs: 0, listenerIdleMs: 0 };

test('the caller may set route and per-try timeouts; its headers are taken out and the upstream is told', () => {
  const request = head({ 'x-envoy-upstream-rq-timeout-ms': '500', 'x-envoy-upstream-rq-per-try-timeout-ms': '100' });
  expect(timeoutsOf(action({ timeoutMs: 15_000 }), 0, 0, request, none)).toMatchObject({ routeMs: 500, perTryMs: 100, streamMs: Infinity });
  expect([...request.headers]).toEqual([['x-envoy-expected-rq-timeout-ms', '100']]);
});

test('a per-try timeout that is not below the whole is ignored, nonsense too', () => {
  expect(timeoutsOf(action({ timeoutMs: 100 }), 100, 0, head(), none).perTryMs).toBe(0);
  expect(timeoutsOf(action({ timeoutMs: 100 }), 0, 0, head({ 'x-envoy-upstream-rq-timeout-ms': 'soon' }), none).routeMs).toBe(100);
  const request = head();
  timeoutsOf(action(), 0, 0, request, none);
  expect([...request.headers]).toEqual([]);
});

test('the earliest of deadline, route and listener bounds the stream', () => {
  expect(timeoutsOf(action(), 0, 0, head(), { remainingMs: 70, listenerStreamMs: 100, listenerIdleMs: 0 })).toMatchObject({ streamMs: 70, deadlineOfCaller: true });
  expect(timeoutsOf(action(), 0, 0, head(), { remainingMs: Infinity, listenerStreamMs: 100, listenerIdleMs: 0 })).toMatchObject({ streamMs: 100, deadlineOfCaller: false });
  expect(timeoutsOf(action({ maxStreamDuration: { maxMs: 50 } }), 0, 0, head(), { remainingMs: 70, listenerStreamMs: 100, listenerIdleMs: 0 }).streamMs).toBe(50);
  expect(timeoutsOf(action({ maxStreamDuration: { maxMs: 0 } }), 0, 0, head(), { remainingMs: Infinity, listenerStreamMs: 100, listenerIdleMs: 0 }).streamMs).toBe(Infinity);
});

test.each([
  ['the maximum bounds the deadline', { grpcTimeoutHeaderMaxMs: 50 }, 100, 50],
  ['0 takes the deadline as it is', { grpcTimeoutHeaderMaxMs: 0 }, 100, 100],
  ['the offset answers a little earlier', { grpcTimeoutHeaderMaxMs: 0, grpcTimeoutHeaderOffsetMs: 10 }, 100, 90],
  ['an offset above the deadline is ignored', { grpcTimeoutHeaderMaxMs: 0, grpcTimeoutHeaderOffsetMs: 200 }, 100, 100],
  ['without a deadline the maximum itself', { grpcTimeoutHeaderMaxMs: 50, maxMs: 70 }, Infinity, 50],
  ['without a maximum for deadlines the stream\'s', { maxMs: 70 }, Infinity, 70],
])('gRPC: %s', (_name, maxStreamDuration, remainingMs, expected) => {
  expect(timeoutsOf(action({ maxStreamDuration }), 0, 0, head({}, 'grpc'), { remainingMs, listenerStreamMs: 1000, listenerIdleMs: 0 }).streamMs).toBe(expected);
});

test('the shorter idle timeout counts', () => {
  expect(timeoutsOf(action({ idleTimeoutMs: 50 }), 0, 80, head(), none).idleMs).toBe(50);
  expect(timeoutsOf(action(), 0, 80, head(), none).idleMs).toBe(80);
});

test('the idle timeout of the route replaces that of the listener, also with none', () => {
  const idle = (options: Partial<ForwardActionConfig>, perTryIdleMs = 0) => timeoutsOf(action(options), 0, perTryIdleMs, head(), { ...none, listenerIdleMs: 300 }).idleMs;
  expect([idle({}), idle({ idleTimeoutMs: 100 }), idle({ idleTimeoutMs: 0 }), idle({}, 200), idle({}, 400)]).toEqual([300, 100, 0, 200, 300]);
});
