// What other parts read as %DYNAMIC_METADATA(n:…)%.
import type { JsonObject } from '../model.js';
import type { Draw } from './draw.js';
import { headerNames } from './values.js';

export function headerToMetadata(draw: Draw): JsonObject {
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config',
    request_rules: draw.list(1, 2, () => ({
      ...(draw.chance(0.15) ? { cookie: draw.pick(['sid', 'z']) } : { header: draw.pick([...headerNames.filter((name) => name !== 'x-num'), ':path', ':authority']) }),
      on_header_present: {
        metadata_namespace: 'n', key: draw.pick(['a', 'b']), ...draw.maybe(0.2, () => ({ type: draw.pick(['STRING', 'NUMBER']) })),
        ...draw.of<JsonObject>([6, () => ({})], [1, () => ({ value: 'fixed' })], [1, () => ({ regex_value_rewrite: { pattern: { regex: draw.pick(['^/([^/]*).*$', 'a', '.*']) }, substitution: draw.pick(['\\0', 'x']) } })]),
      },
      ...draw.maybe(0.3, () => ({ on_header_missing: { metadata_namespace: 'n', key: 'a', value: 'missing' } })),
    })),
  };
}

export function setMetadata(draw: Draw): JsonObject {
  const value = () => ({ set: draw.pick<JsonObject | string | number | boolean>(['text', 1.5, 12, true, { inner: 'x' }]), ...draw.maybe(0.3, () => ({ a: 'set' })) });
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config',
    metadata: draw.list(1, 2, () => ({ metadata_namespace: 'n', value: value(), ...draw.maybe(0.5, () => ({ allow_overwrite: true })) })),
  };
}
