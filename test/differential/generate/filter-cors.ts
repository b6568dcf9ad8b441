import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { fraction, stringMatcher } from './matchers.js';
import { origins } from './values.js';

export function corsPolicy(draw: Draw): JsonObject {
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy',
    ...draw.maybe(0.9, () => ({ allow_origin_string_match: draw.list(1, 2, () => (draw.chance(0.2) ? { safe_regex: { regex: draw.pick(['https?://.*', '.*\\.test', '.*']) } } : stringMatcher(draw, [...origins, 'http', '.test']))) })),
    ...draw.maybe(0.6, () => ({ allow_methods: draw.pick(['GET,PUT', '*', 'GET']) })),
    ...draw.maybe(0.5, () => ({ allow_headers: draw.pick(['x-a,x-b', '*']) })),
    ...draw.maybe(0.5, () => ({ expose_headers: draw.pick(['x-resp', '*']) })),
    ...draw.maybe(0.5, () => ({ max_age: draw.pick(['600', '0']) })),
    ...draw.maybe(0.5, () => ({ allow_credentials: draw.chance(0.7) })),
    ...draw.maybe(0.3, () => ({ filter_enabled: fraction(draw) })),
    ...draw.maybe(0.3, () => ({ shadow_enabled: fraction(draw) })),
    ...draw.maybe(0.3, () => ({ forward_not_matching_preflights: draw.chance(0.4) })),
    ...draw.maybe(0.3, () => ({ allow_private_network_access: draw.chance(0.6) })),
  };
}

export function csrfPolicy(draw: Draw): JsonObject {
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.csrf.v3.CsrfPolicy',
    filter_enabled: fraction(draw),
    ...draw.maybe(0.3, () => ({ shadow_enabled: fraction(draw) })),
    ...draw.maybe(0.5, () => ({ additional_origins: draw.list(1, 2, () => stringMatcher(draw, ['a.test', 'b.test', 'a.test:8080', 'test'])) })),
  };
}
