import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { headerMatcher } from './matchers.js';

export function fault(draw: Draw): JsonObject {
  // None or all: anything between is chance.
  const percentage = () => draw.pick<JsonObject>([{ numerator: 0 }, { numerator: 100, denominator: 'HUNDRED' }, { numerator: 10_000, denominator: 'TEN_THOUSAND' }]);
  const full = () => ({ numerator: 100 });
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault',
    ...draw.maybe(0.8, () => ({ abort: draw.pick<JsonObject>([{ http_status: draw.pick([200, 404, 503, 599]), percentage: percentage() }, { grpc_status: draw.int(0, 16), percentage: full() }, { header_abort: {}, percentage: full() }]) })),
    ...draw.maybe(0.2, () => ({ delay: draw.pick<JsonObject>([{ fixed_delay: '0.002s', percentage: percentage() }, { header_delay: {}, percentage: full() }]) })),
    ...draw.maybe(0.5, () => ({ headers: [headerMatcher(draw)] })),
    ...draw.maybe(0.2, () => ({ upstream_cluster: draw.pick(['one', 'two']) })),
    ...draw.maybe(0.1, () => ({ max_active_faults: 0 })),
  };
}
