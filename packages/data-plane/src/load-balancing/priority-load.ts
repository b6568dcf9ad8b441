// How load is spread over priorities: whole percents with truncation, exactly as Envoy computes them, so that a fleet of
// proxies and Weft clients shifts at the same points.
import { loadInTotalPanic, panicking, type PriorityAvailability } from './panic.js';

export interface PriorityLoad {
  /** Percent by priority. Together with `degraded` 100, or all 0 where no host is usable. */
  healthy: readonly number[];
  degraded: readonly number[];
  panic: readonly boolean[];
}

/** `overprovisioning` in percent: at 140 a priority keeps all its load until fewer than 71 % of its hosts are usable. */
export function priorityLoad(priorities: readonly PriorityAvailability[], overprovisioning: number, panicThreshold: number): PriorityLoad {
  const health = priorities.map(({ healthy, total, overprovisioning: own = overprovisioning }) => percent(own, healthy, total));
  const degradedHealth = priorities.map(({ degraded, total, overprovisioning: own = overprovisioning }) => percent(own, degraded, total));
  const available = Math.min(100, sum(health) + sum(degradedHealth));
  const panic = panicking(priorities, available, panicThreshold);
  if (panic.length > 0 && panic.every(Boolean)) return { healthy: loadInTotalPanic(priorities), degraded: priorities.map(() => 0), panic };
  if (available === 0) return { healthy: priorities.map(() => 0), degraded: priorities.map(() => 0), panic };
  const healthy = distribute(health, 100, available);
  const degraded = distribute(degradedHealth, healthy.left, available);
  // What truncation left over.
  if (degraded.left > 0) {
    if (healthy.first !== -1) healthy.load[healthy.first] = (healthy.load[healthy.first] as number) + degraded.left;
    else degraded.load[degraded.first] = (degraded.load[degraded.first] as number) + degraded.left;
  }
  return { healthy: healthy.load, degraded: degraded.load, panic };
}

/** Which priority a point of 1 to 100 falls on. Undefined where nothing can be chosen. */
export function choosePriority({ healthy, degraded }: Pick<PriorityLoad, 'healthy' | 'degraded'>, point: number): { priority: number; degraded: boolean } | undefined {
  let reached = 0;
  for (let priority = 0; priority < healthy.length; priority++) if (point <= (reached += healthy[priority] as number)) return { priority, degraded: false };
  for (let priority = 0; priority < degraded.length; priority++) if (point <= (reached += degraded[priority] as number)) return { priority, degraded: true };
  return undefined;
}

export function percent(overprovisioning: number, usable: number, total: number): number {
  return total === 0 ? 0 : Math.min(100, Math.floor((overprovisioning * usable) / total));
}

function distribute(health: readonly number[], total: number, available: number): { load: number[]; left: number; first: number } {
  let left = total;
  const load = health.map((part) => {
    const share = Math.min(left, Math.floor((part * 100) / available));
    left -= share;
    return share;
  });
  return { load, left, first: health.findIndex((part) => part > 0) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
