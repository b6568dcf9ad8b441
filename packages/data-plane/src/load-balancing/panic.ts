// When too few hosts of a priority are usable, balancing over all of them beats sending everything to the few (Envoy's
// panic threshold).

/** Numbers of hosts of one priority. */
export interface PriorityAvailability {
  healthy: number;
  degraded: number;
  total: number;
  /** In percent, where it is not that of the whole cluster. */
  overprovisioning?: number;
}

/** Which priorities are in panic. None while the usable hosts of all priorities together can still carry the load. */
export function panicking(priorities: readonly PriorityAvailability[], totalAvailability: number, threshold: number): boolean[] {
  if (totalAvailability === 100 || threshold <= 0) return priorities.map(() => false);
  return priorities.map(({ healthy, degraded, total }) => (total === 0 ? 0 : Math.min(100, (100 * (healthy + degraded)) / total)) < threshold);
}

/** All in panic: load goes by number of hosts, the remainder to the first priority that has any. */
export function loadInTotalPanic(priorities: readonly PriorityAvailability[]): number[] {
  const hosts = priorities.reduce((sum, { total }) => sum + total, 0);
  if (hosts === 0) return priorities.map(() => 0);
  const load = priorities.map(({ total }) => Math.floor((100 * total) / hosts));
  const first = priorities.findIndex(({ total }) => total > 0);
  load[first] = (load[first] as number) + 100 - load.reduce((sum, part) => sum + part, 0);
  return load;
}
