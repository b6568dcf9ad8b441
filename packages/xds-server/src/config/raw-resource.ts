// xDS resources as they are: a file with a top-level `resources:` list, as `weft generate` prints it.
import { fromJson, type JsonValue, type Message } from '@weft/xds-api/protobuf';
import { anyUnpack, AnySchema, type Any } from '@weft/xds-api/protobuf/wkt';
import { allTypes } from '@weft/xds-api/registry';
import type { ConfigKind } from './config-kind.js';
import { rawResourceGroup, rawResourceKind } from './config-object.js';

/** Its objects' bodies are `{ path, resource }`: the place in the file (`resources[3]`) and the JSON form of an Any. */
export const rawResource: ConfigKind = {
  group: rawResourceGroup,
  kind: rawResourceKind,
  versions: ['v1'],
  namespaced: false,
  normalize(object, context) {
    const { path, resource } = object.body as { path: string; resource: JsonValue };
    const read = decode(resource);
    if (typeof read === 'string') {
      context.error(path, read);
      return [];
    }
    const resourceName = nameOf(read.message);
    if (!resourceName) {
      context.error(path, `a ${read.any.typeUrl} needs a name to be subscribed to`);
      return [];
    }
    const { metadata, source } = object;
    return [{
      type: 'raw-resource', key: `${source}/${metadata.name}`, namespace: '', name: metadata.name, origin: `${read.message.$typeName.split('.').at(-1)} ${resourceName}`,
      createdAt: 0, typeUrl: read.any.typeUrl, resourceName, value: read.any.value,
    }];
  },
};

function decode(json: JsonValue): { any: Any; message: Message } | string {
  try {
    const any = fromJson(AnySchema, json, { registry: allTypes() });
    const message = anyUnpack(any, allTypes());
    return message ? { any, message } : `${any.typeUrl || '@type'} is not a known type`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Every xDS resource is subscribed to by `name`, a ClusterLoadAssignment by `cluster_name`. */
function nameOf(message: Message): string {
  const { name, clusterName } = message as Message & { name?: unknown; clusterName?: unknown };
  return typeof name === 'string' && name !== '' ? name : typeof clusterName === 'string' ? clusterName : '';
}
