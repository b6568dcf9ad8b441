import { describe, expect, it } from 'vitest';
import { seededRandom } from '../route/test-support.js';
import type { PriorityAvailability } from './panic.js';
import { priorityLoad } from './priority-load.js';

const of = (...hosts: [healthy: number, degraded: number, total: number][]) => hosts.map(([healthy, degraded, total]): PriorityAvailability => ({ healthy, degraded, total }));
const load = (hosts: readonly PriorityAvailability[], threshold = 50) => {
  const { healthy, degraded, panic } = priorityLoad(hosts, 140, threshold);
  return [healthy, degraded, panic];
};

/** Written down from Envoy's description of priority levels, step by step and apart from the implementation. */
function reference(hosts: readonly PriorityAvailability[]): number[] {
  const result: number[] = [];
  const part = (usable: number, total: number) => (total ? Math.min(100, Math.trunc((140 * usable) / total)) : 0);
  let sum = 0;
  for (const { healthy, degraded, total } of hosts) sum += part(healthy, total) + part(degraded, total);
  const normal = Math.min(100, sum);
  if (normal === 0) return hosts.flatMap(() => [0, 0]).slice(0, 2 * hosts.length);
  let rest = 100;
  for (const kind of ['healthy', 'degraded'] as const) {
    for (const priority of hosts) {
      const share = Math.min(rest, Math.trunc((part(priority[kind], priority.total) * 100) / normal));
      result.push(share);
      rest -= share;
    }
  }
  const first = hosts.findIndex((priority) => part(priority.healthy, priority.total) > 0);
  const at = first >= 0 ? first : hosts.length + hosts.findIndex((priority) => part(priority.degraded, priority.total) > 0);
  result[at] = (result[at] as number) + rest;
  return result;
}

describe('load of priorities', () => {
  it.each([
    ['all healthy', of([10, 0, 10], [10, 0, 10]), [100, 0], [0, 0]],
    ['72 % healthy still carry everything', of([72, 0, 100], [100, 0, 100]), [100, 0], [0, 0]],
    ['71 % do not', of([71, 0, 100], [100, 0, 100]), [99, 1], [0, 0]],
    ['half', of([50, 0, 100], [100, 0, 100]), [70, 30], [0, 0]],
    ['none at the first', of([0, 0, 100], [100, 0, 100]), [0, 100], [0, 0]],
    ['three levels', of([25, 0, 100], [25, 0, 100], [100, 0, 100]), [35, 35, 30], [0, 0, 0]],
    ['degraded after all healthy', of([50, 50, 100], [20, 0, 100]), [70, 28], [2, 0]],
    ['degraded only', of([0, 10, 10]), [0], [100]],
  ])('%s', (_name, hosts, healthy, degraded) => {
    expect(load(hosts)).toEqual([healthy, degraded, hosts.map(() => false)]);
  });

  it('nobody is there', () => {
    expect(load(of([0, 0, 0]))).toEqual([[0], [0], [true]]);
    expect(load([])).toEqual([[], [], []]);
  });

  it('too few at one level while others carry the load is no panic', () => {
    expect(load(of([1, 0, 10], [10, 0, 10]))).toEqual([[14, 86], [0, 0], [false, false]]);
  });

  it('panics only at levels below the threshold, once the whole cannot carry the load', () => {
    expect(load(of([1, 0, 10], [5, 0, 10]))).toEqual([[17, 83], [0, 0], [true, false]]);
  });

  it('in panic everywhere goes by number of hosts', () => {
    expect(load(of([1, 0, 10], [1, 0, 20]))).toEqual([[34, 66], [0, 0], [true, true]]);
    expect(load(of([0, 0, 0], [0, 0, 3]))).toEqual([[0, 100], [0, 0], [true, true]]);
  });

  it('a threshold of 0 switches panic off', () => {
    expect(load(of([1, 0, 10]), 0)).toEqual([[100], [0], [false]]);
    expect(load(of([0, 0, 10]), 0)).toEqual([[0], [0], [false]]);
  });

  it('agrees with the reference for random clusters', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const upTo = (most: number) => Math.floor(random() * (most + 1));
    for (let round = 0; round < 2000; round++) {
      const hosts = Array.from({ length: 1 + upTo(4) }, () => {
        const total = upTo(40);
        const healthy = upTo(total);
        return { total, healthy, degraded: upTo(total - healthy) };
      });
      const { healthy, degraded } = priorityLoad(hosts, 140, 0);
      expect([...healthy, ...degraded], `seed ${seed}: ${JSON.stringify(hosts)}`).toEqual(reference(hosts));
      const sum = [...healthy, ...degraded].reduce((total, value) => total + value, 0);
      expect([0, 100], `seed ${seed}`).toContain(sum);
    }
  });
});
