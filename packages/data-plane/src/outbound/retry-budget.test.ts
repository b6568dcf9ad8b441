import { FakeClock } from '@weft/spiffe/testing';
import { expect, test } from 'vitest';
import { runInContext } from '../context/request-context.js';
import { RetryBudget, RetryBudgets } from './retry-budget.js';
import { testStream } from './test-stream.js';

function budget(ratio: number, minPerSecond = 0, ttlMs = 10_000) {
  let now = 1_000_000;
  const made = new RetryBudget({ ratio, minPerSecond, ttlMs }, () => now);
  const retries = () => {
    let count = 0;
    while (made.withdraw()) count++;
    return count;
  };
  const deposit = (count: number) => {
    for (let i = 0; i < count; i++) made.deposit();
  };
  return { retries, deposit, pass: (ms: number) => (now += ms) };
}

test.each([[0.2, 100, 20], [0.6, 100, 60], [0.3, 100, 30], [0.001, 1000, 1], [1.5, 10, 15], [0, 100, 0]])('a ratio of %d makes of %d requests %d retries', (ratio, requests, expected) => {
  const { retries, deposit } = budget(ratio);
  deposit(requests);
  expect(retries()).toBe(expected);
  expect(retries()).toBe(0);
});

test('what requests earned is gone after the time to live, what retries cost too', () => {
  const { retries, deposit, pass } = budget(0.5, 1);
  expect(retries()).toBe(10);
  pass(9000);
  deposit(4);
  expect(retries()).toBe(2);
  pass(1000);
  // The first ten are forgotten, the two that were just paid for are not.
  expect(retries()).toBe(10);
  pass(20_000);
  expect(retries()).toBe(10);
});

test('nonsense is refused', () => {
  for (const options of [{ ratio: -1 }, { ratio: NaN }, { minPerSecond: -1 }, { ttlMs: 0 }, { ttlMs: 100_000 }]) expect(() => new RetryBudgets(options, new FakeClock())).toThrow(TypeError);
});

test('a retry that the budget refuses is not made, and says so', () => {
  const { downstream, ended, cluster } = testStream({ retryPolicy: { retryOn: ['5xx'] }, retries: { budget: { ratio: 0.2, minPerSecond: 0 } } });
  expect(downstream.answer(503)).toBe('forward');
  downstream.last.onEnd({ bytesSent: 0, bytesReceived: 0 });
  expect([ended[0]!.flags, cluster.retries]).toEqual([['UO'], 0]);
});

test('requests that need no retry earn them', () => {
  const first = testStream({ retryPolicy: { retryOn: ['5xx'] }, retries: { budget: { ratio: 1, minPerSecond: 0 } } });
  first.downstream.answer(200);
  first.downstream.last.onEnd({ bytesSent: 0, bytesReceived: 0 });
  const second = first.another();
  expect(second.downstream.answer(503)).toBe('discard');
  second.clock.advance(100);
  expect(second.downstream.answer(503)).toBe('forward');
});

test('what serves a retry is sent once, where the client wants it so', () => {
  const serving = (retry: boolean, ofRetries?: boolean) => runInContext({ retry }, () => testStream({ retryPolicy: { retryOn: ['5xx'] }, headers: { 'x-envoy-retry-on': '5xx' }, ...(ofRetries !== undefined && { retries: { ofRetries } }) }));
  expect(serving(true, false).downstream.answer(503)).toBe('forward');
  expect(serving(true, false).head.headers.has('x-envoy-retry-on')).toBe(false);
  expect([serving(false, false), serving(true)].map(({ downstream }) => downstream.answer(503))).toEqual(['discard', 'discard']);
});
