import type { StreamInfo } from '../stream/stream-info.js';

/**
 * A number in [0, n). Envoy takes every decision of one request's route (runtime fractions, weights, mirrors) from one random number, modulo
 * what is asked for: a second route that also wants half of the requests gets none of those that the first one let go.
 */
export function randomBelow(info: StreamInfo, n: number, random: () => number): number {
  const value = (info.randomValue ??= draw(random));
  return typeof value === 'number' ? value % n : Number(value % BigInt(n));
}

/** 52 bits, from two halves: the last bits of one draw are not random (those of Math.random scaled to 2^53 are always even). */
function draw(random: () => number): number {
  return Math.floor(random() * 2 ** 26) * 2 ** 26 + Math.floor(random() * 2 ** 26);
}
