// Random tests that can be repeated: `WEFT_SEED=N` runs what N made.
import { randomInt } from 'node:crypto';

export interface Random {
  readonly seed: number;
  /** Uniform in [0, 1). */
  next(): number;
  /** 0 to limit − 1. */
  below(limit: number): number;
  pick<T>(list: readonly T[]): T;
  bytes(length: number): Buffer;
}

export function seededRandom(seed: number = process.env['WEFT_SEED'] ? Number(process.env['WEFT_SEED']) : randomInt(2 ** 31)): Random {
  let state = seed;
  // mulberry32
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return { seed, next, below, pick: (list) => list[below(list.length)]!, bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))) };
}
