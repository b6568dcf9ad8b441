import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { interleaved, race } from './happy-eyeballs.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const at = (...addresses: string[]) => addresses.map((address) => ({ address, port: 1 }));
const order = (addresses: string[], config?: Parameters<typeof interleaved>[1]) => interleaved(at(...addresses), config).map(({ address }) => address).join(' ');

test('families take turns, that of the first address first', () => {
  expect(order(['::1', '::2', '::3', '10.0.0.1', '10.0.0.2'])).toBe('::1 10.0.0.1 ::2 10.0.0.2 ::3');
  expect(order(['10.0.0.1', '::1'])).toBe('10.0.0.1 ::1');
  expect(order(['10.0.0.1', '::1', '::2', '::3'], { firstFamily: 'ipv6', firstCount: 2 })).toBe('::1 ::2 10.0.0.1 ::3');
  expect(order(['::1', '::2'], { firstFamily: 'ipv4' })).toBe('::1 ::2');
});

function racing(count: number) {
  const attempts: { done: (error: Error | null, socket: string | null) => void; stopped: boolean }[] = [];
  const callback = vi.fn<(error: Error | null, socket: string | null) => void>();
  const stop = race(Array.from({ length: count }, () => (done: (error: Error | null, socket: string | null) => void) => {
    const attempt = { done, stopped: false };
    attempts.push(attempt);
    return () => { attempt.stopped = true; };
  }), callback);
  return { attempts, callback, stop };
}

test('the next starts after 300 ms, the first that succeeds wins and the others stop', () => {
  const { attempts, callback } = racing(3);
  vi.advanceTimersByTime(299);
  expect(attempts.length).toBe(1);
  vi.advanceTimersByTime(1);
  expect(attempts.length).toBe(2);
  attempts[1]!.done(null, 'b');
  expect(callback.mock.calls).toEqual([[null, 'b']]);
  expect(attempts[0]!.stopped).toBe(true);
  vi.advanceTimersByTime(1000);
  expect(attempts.length).toBe(2);
  attempts[0]!.done(null, 'a');
  expect(callback).toHaveBeenCalledTimes(1);
});

test('the next starts at once where one fails, and only the last failure is one', () => {
  const { attempts, callback } = racing(2);
  attempts[0]!.done(new Error('first'), null);
  expect([attempts.length, callback.mock.calls.length]).toEqual([2, 0]);
  attempts[1]!.done(new Error('second'), null);
  expect(callback.mock.calls).toEqual([[new Error('first'), null]]);
});

test('a race that is given up starts and tells nothing more', () => {
  const { attempts, callback, stop } = racing(2);
  stop();
  vi.advanceTimersByTime(1000);
  expect([attempts.length, attempts[0]!.stopped, callback.mock.calls.length]).toEqual([1, true, 0]);
});
