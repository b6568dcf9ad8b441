// HTTP filters of a table, and what its levels override of them.
import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { fault } from './filter-fault.js';

interface Kind {
  name: string;
  weight: number;
  config(draw: Draw): JsonObject;
  override?(draw: Draw): JsonObject;
}

const kinds: readonly Kind[] = [
  { name: 'envoy.filters.http.fault', weight: 0.25, config: (draw) => (draw.chance(0.5) ? fault(draw) : { '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault' }), override: fault },
];

export function httpFilters(draw: Draw): JsonObject[] {
  const chosen = kinds.filter(({ weight }) => draw.chance(weight)).map(({ name, config }) => ({ name, typed_config: config(draw) }));
  return [...draw.some(chosen, chosen.length, chosen.length), { name: 'envoy.filters.http.router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }];
}

export function filterOverrides(draw: Draw, filters: readonly JsonObject[], probability: number): JsonObject {
  const overrides = filters.flatMap(({ name }) => {
    const kind = kinds.find((one) => one.name === name);
    return kind?.override && draw.chance(probability) ? [[kind.name, kind.override(draw)] as const] : [];
  });
  return overrides.length === 0 ? {} : { typed_per_filter_config: Object.fromEntries(overrides) };
}
