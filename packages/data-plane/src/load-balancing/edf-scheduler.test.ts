import { describe, expect, it } from 'vitest';
import { seededRandom } from '../route/test-support.js';
import { EdfScheduler, startedEdf } from './edf-scheduler.js';

const take = <T>(scheduler: EdfScheduler<T>, count: number) => Array.from({ length: count }, () => scheduler.pick());

/** The schedule by its definition: the smallest deadline, then the earliest (re)insertion. */
function reference(weights: readonly number[], count: number): number[] {
  let order = 0;
  const entries = weights.map((weight, index) => ({ index, weight, deadline: 1 / weight, order: order++ }));
  return Array.from({ length: count }, () => {
    const next = entries.reduce((best, entry) => (entry.deadline < best.deadline || (entry.deadline === best.deadline && entry.order < best.order) ? entry : best));
    next.deadline += 1 / next.weight;
    next.order = order++;
    return next.index;
  });
}

describe('earliest deadline first', () => {
  it('spreads by weight: 1 and 2', () => {
    expect(take(new EdfScheduler(['a', 'b'], (value) => (value === 'a' ? 1 : 2)), 6)).toEqual(['b', 'a', 'b', 'b', 'a', 'b']);
  });

  it('keeps the order of insertion among equals', () => {
    expect(take(new EdfScheduler(['a', 'b', 'c'], () => 1), 6)).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('follows the exact schedule for random weights', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    for (let round = 0; round < 50; round++) {
      const weights = Array.from({ length: 1 + Math.floor(random() * 20) }, () => 1 + Math.floor(random() * 100));
      const indexes = weights.map((_, index) => index);
      expect(take(new EdfScheduler(indexes, (index) => weights[index] as number), 200), `seed ${seed}`).toEqual(reference(weights, 200));
    }
  });

  it('gives everybody its share within each full turn', () => {
    const weights = [1, 3, 6];
    const picks = take(new EdfScheduler([0, 1, 2], (index) => weights[index] as number), 1000);
    weights.forEach((weight, index) => expect(picks.filter((pick) => pick === index).length).toBe(weight * 100));
  });

  it('asks for the weight again at each pick', () => {
    let heavy = 1;
    const scheduler = new EdfScheduler(['a', 'b'], (value) => (value === 'b' ? heavy : 1));
    take(scheduler, 2);
    heavy = 10;
    expect(take(scheduler, 24).filter((value) => value === 'b').length).toBeGreaterThan(16);
  });

  it('is empty without entries', () => {
    expect(new EdfScheduler([], () => 1).pick()).toBeUndefined();
  });

  it('can begin at a random place', () => {
    const first = (at: number) => startedEdf(['a', 'b', 'c', 'd'], () => 1, () => at).pick();
    expect([0, 0.25, 0.5, 0.99].map(first)).toEqual(['a', 'b', 'c', 'd']);
  });
});
