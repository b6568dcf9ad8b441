import { expect, test } from 'vitest';
import type { Host } from '../upstream/host.js';
import { cluster, endpoints, locality } from '../upstream/test-support.js';
import { loadAvoiding } from './previous-priorities.js';

const at = (...priorities: number[]) => priorities.map((priority) => ({ priority }) as Host);
const load = (attempted: Host[], health: number[], updateFrequency = 1) => loadAvoiding({ attempted, updateFrequency }, health, health.map(() => 0))?.healthy;

test('priorities of earlier attempts carry nothing; when all were tried, it begins again', () => {
  expect(load(at(0), [100, 100, 100])).toEqual([0, 100, 0]);
  expect(load(at(0, 1), [100, 100, 100])).toEqual([0, 0, 100]);
  expect(load(at(0, 1, 2), [100, 100, 100])).toEqual([100, 0, 0]);
  expect(load(at(0, 1, 2, 0), [100, 100, 100])).toEqual([0, 100, 0]);
});

test('the load changes only after so many attempts', () => {
  expect(load(at(0), [100, 100], 2)).toBeUndefined();
  expect(load(at(0, 0), [100, 100], 2)).toEqual([0, 100]);
  expect(load(at(0, 0, 1), [100, 100], 2)).toEqual([0, 100]);
});

test('what is left is shared by health; nothing usable changes nothing', () => {
  expect(load(at(0), [100, 30, 30])).toEqual([0, 50, 50]);
  expect(load(at(0), [100, 20, 10])).toEqual([0, 67, 33]);
  expect(load(at(0), [0, 0])).toBeUndefined();
});

test('a cluster sends a retry to the next priority', () => {
  const two = cluster({}, endpoints([locality(['a', 'b']), locality(['z'], { priority: 1 })]));
  const first = two.choose({ attempt: 0, priority: 'default' }) as Host;
  const second = two.choose({ attempt: 1, priority: 'default', previousPriorities: { attempted: [first], updateFrequency: 1 } }) as Host;
  const third = two.choose({ attempt: 2, priority: 'default', previousPriorities: { attempted: [first, second], updateFrequency: 1 } }) as Host;
  expect([first.priority, second.priority, third.priority]).toEqual([0, 1, 0]);
});
