import { describe, expect, it } from 'vitest';
import { seededRandom } from '../route/test-support.js';
import { EdfScheduler } from './edf-scheduler.js';
import { WeightedRotation } from './weighted-rotation.js';

describe('rotation by weights that do not change', () => {
  it('has the very order of earliest deadline first', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    for (let round = 0; round < 40; round++) {
      const count = 1 + Math.floor(random() * 60);
      const kinds = 1 + Math.floor(random() * 12);
      const values = Array.from({ length: count }, (_, index) => ({ index, weight: 1 + Math.floor(random() * kinds) * (random() < 0.2 ? 7 : 1) }));
      const weight = (value: { weight: number }) => value.weight;
      const [rotation, scheduler] = [new WeightedRotation(values, weight), new EdfScheduler(values, weight)];
      const picked = (from: { pick(): { index: number } | undefined }) => Array.from({ length: 500 }, () => from.pick()?.index);
      expect(picked(rotation), `seed ${seed}, round ${round}`).toEqual(picked(scheduler));
    }
  });

  it('of nobody picks nobody', () => {
    expect(new WeightedRotation([], () => 1).pick()).toBeUndefined();
  });
});
