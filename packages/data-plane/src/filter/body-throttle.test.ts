import { FakeClock } from '@weft/spiffe/testing';
import { expect, it } from 'vitest';
import { ByteBucket, throttle } from './body-throttle.js';

function setup({ perSecond = 1000, start = 1000, intervalMs = 50 } = {}) {
  const clock = new FakeClock(0);
  const bucket = new ByteBucket(perSecond, start, () => clock.now());
  const context = { now: () => clock.now(), setTimeout: (run: () => void, ms: number) => clock.setTimeout(run, ms) };
  const out: number[] = [];
  const limit = throttle(bucket, intervalMs, context);
  const send = (bytes: number) => limit.data!(new Uint8Array(bytes), (chunk) => void out.push(chunk.length));
  return { clock, bucket, limit, out, send, context };
}

it('what may pass at once passes at once; the rest as time goes, piece by piece', async () => {
  const { clock, limit, out, send } = setup();
  expect(send(600)).toBeUndefined();
  const result = send(600);
  expect(out).toEqual([600, 400]);
  for (let ms = 0; ms < 200; ms += 50) clock.advance(50);
  expect(out).toEqual([600, 400, 50, 50, 50, 50]);
  expect(await result).toBeUndefined();
  expect([limit.held, limit.heldMs, clock.pending]).toEqual([true, 200, 0]);
});

it('what is saved while nothing is sent is a second\'s worth at most, and shared', () => {
  const { clock, bucket, out, send, context } = setup({ start: 0 });
  clock.advance(60_000);
  const other = throttle(bucket, 50, context);
  expect(other.data!(new Uint8Array(900), () => undefined)).toBeUndefined();
  expect(send(200)).toBeInstanceOf(Promise);
  expect(out).toEqual([100]);
});

it('stops with the request', () => {
  const { clock, limit, send } = setup({ start: 0 });
  void send(10);
  expect(clock.pending).toBe(1);
  limit.cancel();
  expect(clock.pending).toBe(0);
});
