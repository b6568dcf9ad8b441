import { expect, test } from 'vitest';
import { HeaderMap } from '../stream/header-map.js';
import { testStream } from './test-stream.js';

const end = { bytesSent: 0, bytesReceived: 0 };

test('hosts and callers may be told which attempt it is, and why', () => {
  const { stream, downstream, clock } = testStream({
    virtualHost: { includeRequestAttemptCount: true, includeAttemptCountInResponse: true, includeIsTimeoutRetryHeader: true }, retryPolicy: { retryOn: ['5xx'], perTryTimeoutMs: 100, numRetries: 3 },
  });
  const told = () => [downstream.last.head.headers.get('x-envoy-attempt-count'), downstream.last.head.headers.get('x-envoy-is-timeout-retry')];
  expect(told()).toEqual(['1', undefined]);
  stream.requestEnd(0);
  clock.advance(100);
  clock.advance(25);
  expect(told()).toEqual(['2', 'true']);
  downstream.answer(503);
  clock.advance(50);
  expect(told()).toEqual(['3', 'false']);
  const head = { status: 200, headers: new HeaderMap() };
  downstream.last.onHead(head);
  expect(head.headers.get('x-envoy-attempt-count')).toBe('3');
});

test('with auto rewrite each attempt begins with the host that the last one was for', () => {
  const { downstream, cluster, clock } = testStream({ action: { hostRewrite: { kind: 'auto' }, appendXForwardedHost: true }, retryPolicy: { retryOn: ['5xx'] }, hostname: 'named.internal' });
  const told = () => [downstream.last.head.authority, downstream.last.head.headers.get('x-envoy-original-host'), downstream.last.head.headers.joined('x-forwarded-host')];
  expect(told()).toEqual(['named.internal', 'payments', 'payments']);
  downstream.answer(503);
  clock.advance(50);
  expect([told(), cluster.contexts.length]).toEqual([['named.internal', 'named.internal', 'payments,named.internal'], 2]);
});

test('answers of the router carry the attempt count, too', () => {
  const { downstream } = testStream({ virtualHost: { includeAttemptCountInResponse: true } });
  downstream.last.onFailure({ kind: 'reset', message: 'gone' });
  expect(downstream.replies[0]!.headers).toEqual([['x-envoy-attempt-count', '1']]);
});

test('servers of gRPC learn of earlier attempts', () => {
  const { downstream, clock } = testStream({ protocol: 'grpc', retryPolicy: { retryOn: ['unavailable'] } });
  expect(downstream.last.head.headers.has('grpc-previous-rpc-attempts')).toBe(false);
  downstream.answer(200, {}, 14);
  clock.advance(100);
  expect(downstream.last.head.headers.get('grpc-previous-rpc-attempts')).toBe('1');
});

test('each attempt tells its host what is left of the route timeout', () => {
  const { stream, downstream, clock } = testStream({ action: { timeoutMs: 100 }, retryPolicy: { retryOn: ['5xx'] } });
  const expected = () => downstream.last.head.headers.get('x-envoy-expected-rq-timeout-ms');
  expect(expected()).toBe('100');
  stream.requestEnd(0);
  clock.advance(40);
  downstream.answer(503);
  clock.advance(25);
  expect(expected()).toMatch(/^3[56]$/);
});

test('of a deadline hosts of HTTP hear, of a maximum duration of the configuration they do not', () => {
  const expected = (options: Parameters<typeof testStream>[0]) => testStream(options).downstream.last.head.headers.get('x-envoy-expected-rq-timeout-ms');
  expect(Number(expected({ stream: { deadline: performance.now() + 5000 } }))).toBeGreaterThan(4000);
  expect(expected({ maxStreamDurationMs: 5000 })).toBeUndefined();
  expect(expected({ maxStreamDurationMs: 5000, retryPolicy: { retryOn: ['5xx'], perTryTimeoutMs: 8000 } })).toBe('8000');
  expect(expected({ protocol: 'grpc', stream: { deadline: performance.now() + 5000 } })).toBeUndefined();
});

test('a router that is to add no headers of its own adds none', () => {
  const { downstream, cluster } = testStream({ action: { timeoutMs: 100 }, router: { suppressEnvoyHeaders: true } });
  expect(downstream.last.head.headers.has('x-envoy-expected-rq-timeout-ms')).toBe(false);
  cluster.refuse = { status: 503, body: '', headers: [['x-envoy-overloaded', 'true']], flag: 'UO', details: 'upstream_reset_before_response_started{overflow}' };
  const full = testStream({ router: { suppressEnvoyHeaders: true }, retryPolicy: { retryOn: ['5xx'] } });
  full.cluster.refuse = cluster.refuse;
  full.downstream.answer(503);
  full.clock.advance(100);
  expect(full.downstream.replies[0]!.headers).toEqual([]);
});

test('control headers that make no sense are an error where the router is strict', () => {
  const strictCheckHeaders = ['x-envoy-max-retries', 'x-envoy-retry-on', 'x-envoy-retry-grpc-on', 'x-envoy-upstream-rq-timeout-ms'];
  const reply = (headers: Record<string, string>) => testStream({ headers, router: { strictCheckHeaders } }).downstream.replies[0];
  expect(reply({ 'x-envoy-max-retries': 'many' })).toMatchObject({ status: 400, flag: 'IH', body: "invalid header 'x-envoy-max-retries' with value 'many'" });
  expect(reply({ 'x-envoy-retry-on': '5xx, unavailable' })).toMatchObject({ status: 400 });
  expect(reply({ 'x-envoy-upstream-rq-timeout-ms': '4294967296' })).toMatchObject({ status: 400 });
  expect(reply({ 'x-envoy-retry-on': '5xx, reset', 'x-envoy-retry-grpc-on': 'unavailable', 'x-envoy-max-retries': '3', 'x-envoy-other': '?' })).toBeUndefined();
});

test('timeouts answer as the caller asked: 204 without a body', () => {
  for (const perTryTimeoutMs of [50, 0]) {
    const { stream, downstream, clock, ended } = testStream({ headers: { 'x-envoy-upstream-rq-timeout-alt-response': '1' }, action: { timeoutMs: 100 }, retryPolicy: { perTryTimeoutMs } });
    stream.requestEnd(0);
    clock.advance(100);
    expect([downstream.replies[0]!.status, downstream.replies[0]!.body, ended[0]!.flags]).toEqual([204, '', ['UT']]);
  }
});

test('a per-try timeout waits for the connection and for the end of the request', () => {
  const { stream, downstream, clock } = testStream({ retryPolicy: { retryOn: ['5xx'], perTryTimeoutMs: 100 } });
  clock.advance(1000);
  expect(downstream.aborted).toEqual([]);
  stream.requestEnd(0);
  clock.advance(100);
  expect(downstream.aborted).toEqual([1]);
  downstream.connects = false;
  clock.advance(25);
  clock.advance(1000);
  expect([downstream.attempts.length, downstream.aborted]).toEqual([2, [1]]);
  downstream.last.onReady();
  clock.advance(100);
  expect(downstream.aborted).toEqual([1, 2]);
});

test('an attempt that was idle too long is a timeout with a name of its own, retried as one', () => {
  const { downstream, clock, ended } = testStream({ retryPolicy: { retryOn: ['5xx'], perTryIdleTimeoutMs: 100, numRetries: 1 } });
  expect(downstream.last.idleTimeoutMs).toBe(100);
  downstream.last.onFailure({ kind: 'per-try-timeout', idle: true, message: 'idle' });
  clock.advance(25);
  downstream.last.onFailure({ kind: 'per-try-timeout', idle: true, message: 'idle' });
  expect(downstream.replies).toMatchObject([{ status: 504, body: 'upstream request timeout', details: 'upstream_per_try_idle_timeout' }]);
  expect(ended[0]!.flags).toEqual(['URX', 'UT']);
});

test('a request that is idle too long ends, whatever is retried in the meantime', () => {
  const { stream, downstream, clock, ended } = testStream({ streamIdleTimeoutMs: 100, retryPolicy: { retryOn: ['5xx'], numRetries: 50 }, random: () => 0.99 });
  stream.requestEnd(0);
  downstream.answer(503);
  clock.advance(60);
  downstream.answer(503);
  clock.advance(40);
  expect(downstream.replies).toMatchObject([{ status: 504, body: 'stream timeout', details: 'stream_idle_timeout' }]);
  expect([ended[0]!.flags, clock.pending]).toEqual([['SI'], 0]);
});

test('an upload is no idleness; when it stalls, the caller is at fault', () => {
  const { downstream, clock } = testStream({ action: { idleTimeoutMs: 100 } });
  for (const bytes of [10, 20, 30]) {
    downstream.bytesSent = bytes;
    clock.advance(100);
  }
  expect(downstream.replies).toEqual([]);
  clock.advance(100);
  expect(downstream.replies).toMatchObject([{ status: 408 }]);
});

test('once the head is passed on, idleness breaks the response off', () => {
  for (const [options, flags, details] of [
    [{ action: { idleTimeoutMs: 100 } }, ['SI'], 'stream_idle_timeout'],
    [{ retryPolicy: { perTryIdleTimeoutMs: 50 }, action: { idleTimeoutMs: 100 } }, ['UT'], 'upstream_per_try_idle_timeout'],
  ] as const) {
    const { downstream, ended } = testStream(options);
    downstream.answer(200);
    downstream.last.onFailure({ kind: 'per-try-timeout', idle: true, message: 'idle' });
    expect([downstream.broken.length, ended[0]!.flags, ended[0]!.responseCodeDetails]).toEqual([1, flags, details]);
  }
});

test('a response below 200 is passed on at once, so no other attempt can follow', () => {
  const { downstream } = testStream({ retryPolicy: { retryOn: ['5xx'] } });
  downstream.last.onInformation();
  expect(downstream.answer(503)).toBe('forward');
});

test('retries ask for other hosts, first attempts do not', () => {
  const { downstream, cluster, clock } = testStream({ retryPolicy: { retryOn: ['5xx'], avoidPreviousHosts: true, omitCanaryHosts: true, omitHostMetadata: [{ stage: 'old' }], hostSelectionAttempts: 7, previousPriorities: { updateFrequency: 2 } } });
  const [first] = cluster.hosts;
  downstream.answer(503);
  clock.advance(100);
  const [initial, retry] = cluster.contexts;
  expect(initial).toEqual({ attempt: 0, priority: 'default', authority: 'payments' });
  expect([retry!.attempt, retry!.attempted![0], retry!.hostSelectionAttempts]).toEqual([1, first, 7]);
  expect(retry!.previousPriorities!).toMatchObject({ updateFrequency: 2 });
  const refused = (metadata: Record<string, unknown>) => {
    first!.config = { ...first!.config, metadata: { 'envoy.lb': metadata } };
    return retry!.refuses!(first!);
  };
  expect([refused({ canary: true }), refused({ canary: false }), refused({ stage: 'old' }), refused({ stage: ['new', 'old'] }), refused({ stage: 'new' }), refused({})]).toEqual([true, false, true, true, false, false]);
});

test('a body that is longer than the route lets be kept goes on', () => {
  expect(testStream({ virtualHost: { bufferLimitBytes: 100 } }).downstream.replayLimit).toBe(100);
  expect(testStream().downstream.replayLimit).toBeUndefined();
});

test('a response that asks to be left alone is', () => {
  const rateLimitedBackoff = { resetHeaders: [{ name: 'retry-after', format: 'seconds' as const }], maxMs: 300_000 };
  const { downstream, clock } = testStream({ retryPolicy: { retryOn: ['5xx'], rateLimitedBackoff }, random: () => 0 });
  downstream.answer(503, { 'retry-after': '2' });
  clock.advance(1999);
  expect(downstream.attempts.length).toBe(1);
  clock.advance(1);
  expect(downstream.attempts.length).toBe(2);
  downstream.answer(200);
  downstream.last.onEnd(end);
});

test('a full cluster is an answer to a retry, and none while a late attempt may still bring one', () => {
  const overflow = { status: 503, body: '', flag: 'UO', details: 'upstream_reset_before_response_started{overflow}' } as const;
  const made = testStream({ action: { hedgePolicy: { onPerTryTimeout: true } }, retryPolicy: { retryOn: ['5xx'], perTryTimeoutMs: 100 } });
  made.stream.requestEnd(0);
  made.cluster.refuse = overflow;
  made.clock.advance(100);
  made.clock.advance(1000);
  expect(made.downstream.replies).toEqual([]);
  expect(made.downstream.answer(200)).toBe('forward');
});
