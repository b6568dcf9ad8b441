// HTTP filters of a table, and what its levels override of them.
import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { corsPolicy, csrfPolicy } from './filter-cors.js';
import { fault } from './filter-fault.js';
import { headerToMetadata, setMetadata } from './filter-metadata.js';
import { mutationList, mutationType } from './mutations.js';

interface Kind {
  name: string;
  weight: number;
  config(draw: Draw): JsonObject;
  override?(draw: Draw): JsonObject;
}

const kinds: readonly Kind[] = [
  { name: 'envoy.filters.http.fault', weight: 0.25, config: (draw) => (draw.chance(0.5) ? fault(draw) : { '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault' }), override: fault },
  { name: 'envoy.filters.http.cors', weight: 0.25, config: () => ({ '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors' }), override: corsPolicy },
  { name: 'envoy.filters.http.csrf', weight: 0.15, config: csrfPolicy, override: csrfPolicy },
  { name: 'envoy.filters.http.header_mutation', weight: 0.25, config: mutationList, override: (draw) => ({ '@type': `${mutationType}PerRoute`, mutations: mutationList(draw)['mutations']! }) },
  { name: 'envoy.filters.http.header_to_metadata', weight: 0.25, config: headerToMetadata, override: headerToMetadata },
  { name: 'envoy.filters.http.set_metadata', weight: 0.15, config: setMetadata },
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
