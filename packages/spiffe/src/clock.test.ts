import { afterEach, expect, it, vi } from 'vitest';
import { delay, systemClock } from './clock.js';
import { FakeClock } from './testing.js';

afterEach(() => void vi.useRealTimers());

it('a timer of the system clock may be longer than Node allows, and be cancelled on the way', () => {
  vi.useFakeTimers();
  const fired = vi.fn();
  const cancelled = vi.fn();
  const day = 86_400_000;
  systemClock.setTimeout(fired, 60 * day);
  const timer = systemClock.setTimeout(cancelled, 60 * day);
  vi.advanceTimersByTime(60 * day - 1);
  expect(fired).not.toHaveBeenCalled();
  timer.cancel();
  vi.advanceTimersByTime(1);
  expect(fired).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(60 * day);
  expect(cancelled).not.toHaveBeenCalled();
});

it('the fake clock fires in order of time, timers set on the way included, and no cancelled one', () => {
  const clock = new FakeClock(0);
  const seen: [string, number][] = [];
  const note = (name: string) => () => void seen.push([name, clock.now()]);
  clock.setTimeout(note('late'), 20);
  clock.setTimeout(() => {
    note('early')();
    clock.setTimeout(note('between'), 5);
    cancelled.cancel();
  }, 10);
  const cancelled = clock.setTimeout(note('cancelled'), 15);
  clock.setTimeout(note('never'), 101);
  clock.advance(100);
  expect(seen).toEqual([['early', 10], ['between', 15], ['late', 20]]);
  expect([clock.now(), clock.pending]).toEqual([100, 1]);
});

it('a delay ends with its time or with the signal, and leaves no timer', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const waits = [delay(clock, 10, abort.signal), delay(clock, 1000, abort.signal)];
  clock.advance(10);
  await waits[0];
  abort.abort();
  await waits[1];
  await delay(clock, 1000, abort.signal);
  expect(clock.pending).toBe(0);
});
