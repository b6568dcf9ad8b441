import type { NormalizeContext } from '../../config-kind.js';
import type { ConfigObject } from '../../config-object.js';
import { Fields } from '../../fields.js';

/** Istio serves one meaning under all versions of its API. */
export const istioVersions = ['v1', 'v1beta1', 'v1alpha3'] as const;
export const networking = 'networking.istio.io';
export const security = 'security.istio.io';

/** The spec of an Istio object. Elsewhere in the object nothing may stand: a misspelt `spec` would be an empty policy. */
export function readSpec(object: ConfigObject, context: NormalizeContext, { optional = false } = {}): Fields {
  const body = new Fields(object.body, '', context);
  for (const name of ['apiVersion', 'kind', 'metadata', 'spec', 'status']) body.raw(name);
  body.finish();
  return new Fields(object.body['spec'] ?? (optional ? {} : undefined), 'spec', context);
}
