import { expect, it } from 'vitest';
import { TokenBucket } from './token-bucket.js';

function setup() {
  let now = 1_700_000_000_000;
  const bucket = new TokenBucket({ maxTokens: 3, tokensPerFill: 2, fillIntervalMs: 1000 }, () => now);
  return { bucket, pass: (ms: number) => (now += ms) };
}

it('starts full, gives all or nothing, and fills steadily up to its size', () => {
  const { bucket, pass } = setup();
  expect(bucket.consume(4)).toBe(false);
  expect([bucket.consume(), bucket.consume(), bucket.consume(), bucket.consume()]).toEqual([true, true, true, false]);
  expect([bucket.remaining, bucket.nextTokenMs]).toEqual([0, 500]);
  pass(499);
  expect(bucket.consume()).toBe(false);
  pass(1);
  expect([bucket.nextTokenMs, bucket.consume(), bucket.consume()]).toEqual([0, true, false]);
  pass(1_000_000);
  expect(bucket.remaining).toBe(3);
});

it('a clock that is set back fills nothing, and stops nothing', () => {
  const { bucket, pass } = setup();
  bucket.consume(3);
  pass(-10_000);
  expect(bucket.consume()).toBe(false);
  pass(500);
  expect(bucket.consume()).toBe(true);
});
