import { expect, test } from 'vitest';
import { askedDelay, retryDelay } from './backoff.js';

test('the bound of the back-off doubles up to its maximum, with full jitter', () => {
  const backoff = { baseMs: 25, maxMs: 250 };
  expect([1, 2, 3, 4, 5, 60].map((retry) => retryDelay(retry, backoff, () => 1))).toEqual([25, 50, 100, 200, 250, 250]);
  expect(retryDelay(3, backoff, () => 0)).toBe(0);
  expect(retryDelay(3, backoff, () => 0.5)).toBe(50);
});

test('a wait that was asked for is never shorter, and up to half longer', () => {
  expect([askedDelay(1000, () => 0), askedDelay(1000, () => 0.9999)]).toEqual([1000, 1499]);
});
