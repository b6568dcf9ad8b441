// Overrides find their filter by name only, and a name may be given to another kind of filter.
import type { HttpFilterFactory } from '../filter/http-filter.js';
import type { HttpFilterConfig } from './listener-config.js';
import type { FilterOverrides, RouteConfigurationConfig, RouteEntryConfig } from './route-config.js';

const parsedBy = new WeakMap<FilterOverrides, ReadonlyMap<string, HttpFilterFactory>>();

/** Which factory parsed each override. */
export function rememberFactories(overrides: FilterOverrides, factories: ReadonlyMap<string, HttpFilterFactory>): void {
  parsedBy.set(overrides, factories);
}

/**
 * What is wrong where a route configuration overrides a filter by a configuration of another kind: the filter would be given what it
 * cannot read. Known only where listener and routes meet. Undefined = nothing.
 */
export function foreignOverride(filters: readonly HttpFilterConfig[], config: RouteConfigurationConfig): string | undefined {
  const levels = [config.filterOverrides, ...config.virtualHosts.flatMap((virtualHost) => [virtualHost.filterOverrides, ...virtualHost.routes.flatMap(overridesOf)])];
  for (const overrides of levels) {
    for (const [name, factory] of parsedBy.get(overrides) ?? []) {
      const filter = filters.find((candidate) => candidate.name === name);
      if (filter && filter.factory !== factory) return `typed_per_filter_config[${JSON.stringify(name)}] is for ${factory.name}, the filter of that name is ${filter.factory.name}`;
    }
  }
  return undefined;
}

function overridesOf({ filterOverrides, action }: RouteEntryConfig): FilterOverrides[] {
  const weighted = action.kind === 'route' && action.cluster.kind === 'weighted' ? action.cluster.clusters : [];
  return [filterOverrides, ...weighted.map((cluster) => cluster.filterOverrides)];
}
