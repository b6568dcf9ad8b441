// Retries that leave out the priorities of earlier attempts (source/extensions/retry/priority/previous_priorities).
import type { PickContext } from './load-balancer.js';

interface Load {
  readonly healthy: readonly number[];
  readonly degraded: readonly number[];
}

/**
 * How load is spread for this retry. Undefined: as always.
 * @param health percent of each priority that is usable, over-provisioning included; so `degraded`.
 */
export function loadAvoiding({ attempted, updateFrequency }: NonNullable<PickContext['previousPriorities']>, health: readonly number[], degraded: readonly number[]): Load | undefined {
  // Envoy keeps this as state of the request; it is short enough to go through it again.
  let counted: typeof attempted[number][] = [];
  let excluded = new Set<number>();
  let load: Load | undefined;
  for (const host of attempted) {
    counted.push(host);
    if (counted.length < updateFrequency) load = undefined;
    else if (counted.length % updateFrequency === 0) {
      for (const { priority } of counted) excluded.add(priority);
      let left = without(excluded, health, degraded);
      if (left.available === 0) {
        // All were tried: from the start again.
        counted = [];
        excluded = new Set();
        left = without(excluded, health, degraded);
      }
      load = left.available === 0 ? undefined : distribute(left);
    }
  }
  return load;
}

interface Availability extends Load {
  readonly available: number;
}

function without(excluded: ReadonlySet<number>, health: readonly number[], degraded: readonly number[]): Availability {
  const healthyLeft = health.map((part, priority) => (excluded.has(priority) ? 0 : part));
  const degradedLeft = degraded.map((part, priority) => (excluded.has(priority) ? 0 : part));
  return { healthy: healthyLeft, degraded: degradedLeft, available: Math.min(100, [...healthyLeft, ...degradedLeft].reduce((total, part) => total + part, 0)) };
}

function distribute({ healthy, degraded, available }: Availability): Load {
  const load = { healthy: healthy.map(() => 0), degraded: degraded.map(() => 0) };
  let left = 100;
  const give = (to: number[], parts: readonly number[]) => parts.forEach((part, priority) => {
    const share = Math.min(left, Math.floor((part * 100) / available));
    to[priority] = (to[priority] as number) + share;
    left -= share;
  });
  // Again for what truncation left over.
  while (left > 0) {
    give(load.healthy, healthy);
    give(load.degraded, degraded);
  }
  return load;
}
