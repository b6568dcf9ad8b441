import { FakeClock } from '@weft/spiffe/testing';
import { expect, it } from 'vitest';
import { RateLimiter } from './index.js';

it('lets each caller have its burst and its rate, whatever others do', () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ perSecond: 2, burst: 3, clock });
  const allowed = (caller: string, times: number) => Array.from({ length: times }, () => limiter.allow(caller)).filter(Boolean).length;
  expect([allowed('a', 10), allowed('b', 2)]).toEqual([3, 2]);
  clock.advance(1000);
  expect([allowed('a', 10), allowed('b', 10)]).toEqual([2, 3]);
  clock.advance(3_600_000);
  expect(allowed('a', 10)).toBe(3);
});

it('remembers a bounded number of callers, the ones seen last', () => {
  const limiter = new RateLimiter({ perSecond: 1, burst: 1, clock: new FakeClock(), maxCallers: 100 });
  limiter.allow('steady');
  for (let index = 0; index < 10_000; index++) {
    limiter.allow(`stranger ${index}`);
    expect(limiter.allow('steady')).toBe(false);
  }
  expect(limiter.size).toBe(100);
});
