// What the control plane would tell one workload, asked for in process: each resource is generated when it is asked for.
import { Explainer } from '@weft/data-plane/explain';
import { profiles, ResourceGraph, resourceTypes, typeUrls, type MeshModel } from '@weft/xds-server';
import type { NamespacedName } from '../arguments.js';
import { facetsOf } from '../generate.js';

/** `onWarning` is told what could not be expressed. */
export function explainConfig(model: MeshModel, from: NamespacedName, onWarning: (warning: string) => void): Explainer {
  const graph = new ResourceGraph({ model });
  const node = facetsOf(model, from);
  const types = new Map(resourceTypes.map((type) => [typeUrls[type], type]));
  return new Explainer({
    get(typeUrl, name) {
      const type = types.get(typeUrl);
      if (!type) return undefined;
      const { resource, warnings } = graph.generate(profiles.weft, node, type, name);
      warnings.forEach(onWarning);
      return resource?.value;
    },
  });
}
