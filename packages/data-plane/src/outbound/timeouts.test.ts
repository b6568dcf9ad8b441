import { expect, test } from 'vitest';
import type { ForwardActionConfig } from '../resource/route-config.js';
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import { hasControlHeaders } from './control-headers.js';
import { announceTimeout, timeoutsOf as read, type TimeoutInput } from './timeouts.js';

const action = (options: Partial<ForwardActionConfig> = {}) => ({ timeoutMs: 0, ...options }) as ForwardActionConfig;
const head = (headers: Record<string, string> = {}, protocol: 'http' | 'grpc' = 'http'): RequestHead => ({ protocol, method: 'GET', scheme: 'http', authority: 'a', path: '/', headers: HeaderMap.from(headers) });
const timeoutsOf = (config: ForwardActionConfig, perTryMs: number, perTryIdleMs: number, request: RequestHead, input: Partial<TimeoutInput> = {}) =>
  read(config, request, { perTryMs, perTryIdleMs, hedge: false, steered: hasControlHeaders(request.headers), remainingMs: Infinity, listenerStreamMs: 0, listenerIdleMs: 0, respectExpected: false, ...input });
const none = {};
const announced = (request: RequestHead, timeouts: ReturnType<typeof read>, elapsed = 0, remaining = Infinity) => {
  announceTimeout(request, timeouts, elapsed, remaining);
  return request.headers.get('x-envoy-expected-rq-timeout-ms');
};

test('the caller may set route and per-try timeouts; its headers are taken out', () => {
  const request = head({ 'x-envoy-upstream-rq-timeout-ms': '500', 'x-envoy-upstream-rq-per-try-timeout-ms': '100' });
  expect(timeoutsOf(action({ timeoutMs: 15_000 }), 0, 0, request, none)).toMatchObject({ routeMs: 500, perTryMs: 100, streamMs: Infinity });
  expect([...request.headers]).toEqual([]);
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
  ['an offset above the deadline leaves no time', { grpcTimeoutHeaderMaxMs: 0, grpcTimeoutHeaderOffsetMs: 200 }, 100, 0],
  ['without a deadline the maximum itself', { grpcTimeoutHeaderMaxMs: 50, maxMs: 70 }, Infinity, 50],
  ['without a maximum for deadlines the stream\'s', { maxMs: 70 }, Infinity, 70],
])('gRPC: %s', (_name, maxStreamDuration, remainingMs, expected) => {
  expect(timeoutsOf(action({ maxStreamDuration }), 0, 0, head({}, 'grpc'), { remainingMs, listenerStreamMs: 1000, listenerIdleMs: 0 }).streamMs).toBe(expected);
});

test.each([
  ['the deadline by itself is enough', { maxGrpcTimeoutMs: 0 }, 100, 0],
  ['also below its bound', { maxGrpcTimeoutMs: 500 }, 100, 0],
  ['bounded', { maxGrpcTimeoutMs: 50 }, 100, 50],
  ['without a deadline the bound', { maxGrpcTimeoutMs: 50 }, Infinity, 50],
  ['without either none', { maxGrpcTimeoutMs: 0 }, Infinity, 0],
  ['the offset answers a little earlier', { maxGrpcTimeoutMs: 0, grpcTimeoutOffsetMs: 10 }, 100, 90],
  ['an offset above the deadline is ignored', { maxGrpcTimeoutMs: 0, grpcTimeoutOffsetMs: 200 }, 100, 0],
])('gRPC with the older fields: %s', (_name, options, remainingMs, expected) => {
  expect(timeoutsOf(action({ timeoutMs: 15_000, ...options }), 0, 0, head({}, 'grpc'), { remainingMs }).routeMs).toBe(expected);
  expect(timeoutsOf(action({ timeoutMs: 15_000, ...options }), 0, 0, head(), { remainingMs }).routeMs).toBe(15_000);
});

test('a maximum stream duration replaces the route timeout, but not what the caller asks for', () => {
  const replaced = action({ timeoutMs: 15_000, maxStreamDuration: { maxMs: 50 } });
  expect(timeoutsOf(replaced, 0, 0, head()).routeMs).toBe(0);
  expect(timeoutsOf(replaced, 0, 0, head({ 'x-envoy-upstream-rq-timeout-ms': '500' })).routeMs).toBe(500);
});

test('hosts are told the time of the attempt, of the rest of the request, or of the caller, whichever is least', () => {
  const both = timeoutsOf(action({ timeoutMs: 500 }), 100, 0, head());
  expect([announced(head(), both), announced(head(), both, 450), announced(head(), both, 600)]).toEqual(['100', '50', '1']);
  expect(announced(head(), both, 0, 70.2)).toBe('71');
  // With hedging the attempt goes on after its own time.
  expect(announced(head(), { ...both, hedge: true }, 20)).toBe('480');
  expect(announced(head(), timeoutsOf(action(), 0, 0, head()))).toBeUndefined();
  // gRPC has its own header for the caller's deadline.
  expect(announced(head({}, 'grpc'), both, 0, 70)).toBe('100');
});

test('an expected timeout that came with the request counts where the router is to respect it', () => {
  const headers = { 'x-envoy-expected-rq-timeout-ms': '200', 'x-envoy-upstream-rq-timeout-ms': '500' };
  expect(timeoutsOf(action({ timeoutMs: 1000 }), 0, 0, head(headers), { respectExpected: true }).routeMs).toBe(200);
  expect(timeoutsOf(action({ timeoutMs: 1000 }), 0, 0, head(headers)).routeMs).toBe(500);
});

test('the caller turns hedging on and off, and asks for another status of timeouts', () => {
  const hedge = (value: string, configured: boolean) => timeoutsOf(action(), 0, 0, head({ 'x-envoy-hedge-on-per-try-timeout': value }), { hedge: configured }).hedge;
  expect([hedge('true', false), hedge('false', true), hedge('maybe', true)]).toEqual([true, false, true]);
  const request = head({ 'x-envoy-upstream-rq-timeout-alt-response': '1' });
  expect([timeoutsOf(action(), 0, 0, request).alternativeStatus, [...request.headers]]).toEqual([true, []]);
});

test('the idle timeout of the route replaces that of the listener, also with none', () => {
  const idle = (options: Partial<ForwardActionConfig>) => timeoutsOf(action(options), 0, 0, head(), { listenerIdleMs: 300 }).idleMs;
  expect([idle({}), idle({ idleTimeoutMs: 100 }), idle({ idleTimeoutMs: 0 })]).toEqual([300, 100, 0]);
});
