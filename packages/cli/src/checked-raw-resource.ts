// Raw resources as `weft validate` reads them: what Weft's libraries would refuse of them is said beforehand. As warnings, since Envoy and
// gRPC's own clients may take what Weft does not.
import { resourceChecker } from '@weft/data-plane/explain';
import type { ConfigKind } from '@weft/xds-server';

/** In the place of the kind that reads raw resources. Imports all message descriptors. */
export function checkedRawResource(kind: ConfigKind): ConfigKind {
  const check = resourceChecker();
  return {
    ...kind,
    normalize(object, context) {
      const objects = kind.normalize(object, context);
      const { path, resource } = object.body as { path: string; resource: unknown };
      for (const read of objects) {
        if (read.type !== 'raw-resource') continue;
        for (const { path: field, reason } of check(read.typeUrl, read.value)) context.warn(inFile(path, resource, field), `Weft's libraries would refuse it: ${reason}`);
      }
      return objects;
    },
  };
}

/** The path of a field as the file spells it: proto names and JSON names are both allowed there. What the file does not hold keeps its proto name. */
function inFile(base: string, resource: unknown, field: string): string {
  let path = base;
  let value = resource;
  for (const [, bracket, name = ''] of field.matchAll(/(\[(?:\d+|"(?:[^"\\]|\\.)*")\])|([^.[\]]+)/g)) {
    const key: string | number = bracket === undefined ? spelled(value, name) : (JSON.parse(bracket) as [string | number])[0];
    path += bracket ?? `.${key}`;
    value = typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[key] : undefined;
  }
  return path;
}

function spelled(value: unknown, name: string): string {
  const jsonName = name.replace(/_([a-z\d])/g, (_, letter: string) => letter.toUpperCase());
  return typeof value === 'object' && value !== null && jsonName in value ? jsonName : name;
}
