import type { FilterContext } from './http-filter.js';

/** Counts under `envoy_http_NAME_EVENT`; nothing where there are no statistics. */
export function filterCounters<Event extends string>({ stats }: FilterContext, name: string, events: Readonly<Record<Event, string>>): (event: Event) => void {
  if (!stats) return () => undefined;
  const counters = Object.fromEntries(Object.entries<string>(events).map(([event, help]) => [event, stats.counter({ name: `envoy_http_${name}_${event}`.replace(/[^a-zA-Z0-9_]/g, '_'), help, labels: [] }).series()]));
  return (event) => counters[event]?.add();
}
