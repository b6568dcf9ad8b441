import { expect, test } from 'vitest';
import { HeaderMap } from '../stream/header-map.js';
import { testStream, type TestStreamOptions } from './test-stream.js';

const end = { bytesSent: 0, bytesReceived: 0 };

/** Two attempts run: the first had 100 ms, the second was started beside it. */
function hedged(options: Partial<TestStreamOptions> = {}, numRetries = 1) {
  const made = testStream({ ...options, action: { timeoutMs: 1000, hedgePolicy: { onPerTryTimeout: true }, ...options.action }, retryPolicy: { retryOn: ['5xx'], perTryTimeoutMs: 100, numRetries }, random: () => 0 });
  made.stream.requestEnd(0);
  made.clock.advance(100);
  made.clock.advance(0);
  const [first, second] = made.downstream.attempts;
  const answer = (attempt: typeof first, status: number) => attempt!.onHead({ status, headers: new HeaderMap() });
  return { ...made, first: first!, second: second!, answer };
}

test('a per-try timeout starts another attempt, and its host is charged with it at once', () => {
  const { downstream, cluster, second } = hedged();
  expect([downstream.attempts.length, downstream.aborted, cluster.timedOutHosts, cluster.running]).toEqual([2, [], ['10.0.0.1:80'], 2]);
  expect(second.head.headers.get('x-envoy-expected-rq-timeout-ms')).toBe('900');
});

test('the late attempt may still win: the other is ended, and the log names its host', () => {
  const { downstream, cluster, first, answer, ended } = hedged();
  expect(answer(first, 200)).toBe('forward');
  first.onEnd(end);
  expect([downstream.aborted, cluster.running, cluster.retries]).toEqual([[2], 0, 0]);
  expect(ended).toMatchObject([{ status: 200, attempts: 2, upstreamAddress: '10.0.0.1:80' }]);
});

test('the newer attempt may win', () => {
  const { downstream, cluster, second, answer, ended } = hedged();
  expect(answer(second, 200)).toBe('forward');
  second.onEnd(end);
  expect([downstream.aborted, cluster.running, ended[0]!.upstreamAddress]).toEqual([[1], 0, '10.0.0.2:80']);
});

test('a bad answer waits for the other attempt; the last one is the caller\'s, however bad', () => {
  const { first, second, answer, cluster } = hedged();
  expect([answer(first, 503), cluster.running]).toEqual(['discard', 1]);
  expect(answer(second, 502)).toBe('forward');
  const { first: a, second: b, answer: reply } = hedged();
  expect([reply(b, 503), reply(a, 200)]).toEqual(['discard', 'forward']);
});

test('a failure waits for the other attempt; the last one ends the request', () => {
  const { first, second, downstream, cluster } = hedged();
  second.onFailure({ kind: 'reset', message: 'gone' });
  expect(downstream.replies).toEqual([]);
  first.onFailure({ kind: 'reset', message: 'gone' });
  expect([downstream.replies[0]!.status, cluster.running]).toEqual([503, 0]);
});

test('an answer during the back-off makes the other attempt unnecessary', () => {
  const made = testStream({ action: { hedgePolicy: { onPerTryTimeout: true } }, retryPolicy: { retryOn: ['5xx'], perTryTimeoutMs: 100 } });
  made.stream.requestEnd(0);
  made.clock.advance(100);
  expect(made.downstream.answer(200)).toBe('forward');
  made.clock.advance(1000);
  expect([made.downstream.attempts.length, made.cluster.retries]).toEqual([1, 0]);
});

test('only the newest attempt is followed by another', () => {
  const { first, second, answer, downstream, clock } = hedged({}, 5);
  expect(answer(first, 503)).toBe('discard');
  clock.advance(0);
  expect(downstream.attempts.length).toBe(2);
  expect(answer(second, 503)).toBe('discard');
  clock.advance(0);
  expect(downstream.attempts.length).toBe(3);
});

test('timeouts start no more attempts than there are retries, and the route timeout ends all of them', () => {
  const { clock, downstream, cluster, ended } = hedged();
  clock.advance(899);
  expect([downstream.attempts.length, downstream.replies]).toEqual([2, []]);
  clock.advance(1);
  expect(downstream.replies).toMatchObject([{ status: 504 }]);
  expect([downstream.aborted.toSorted(), cluster.running, ended[0]!.flags]).toEqual([[1, 2], 0, ['URX', 'UT']]);
  // Both were charged when their own time was over.
  expect(cluster.timedOutHosts).toEqual(['10.0.0.1:80', '10.0.0.2:80']);
  expect(cluster.outcomes.filter(({ failure }) => failure !== undefined)).toEqual([]);
});

test('the caller may ask for it, and for none of it', () => {
  for (const [value, aborted] of [['true', []], ['false', [1]]] as const) {
    const made = testStream({ headers: { 'x-envoy-hedge-on-per-try-timeout': value }, action: { hedgePolicy: { onPerTryTimeout: value === 'false' } }, retryPolicy: { retryOn: ['5xx'], perTryTimeoutMs: 100 } });
    made.stream.requestEnd(0);
    made.clock.advance(100);
    expect(made.downstream.aborted).toEqual(aborted);
    expect(made.head.headers.has('x-envoy-hedge-on-per-try-timeout')).toBe(false);
  }
});

test('cancelling ends all attempts', () => {
  const { stream, downstream, cluster, clock } = hedged();
  stream.cancel();
  expect([downstream.aborted.toSorted(), cluster.running, cluster.retries, clock.pending]).toEqual([[1, 2], 0, 0, 0]);
});
