import { BinaryReader, WireType } from '@weft/xds-api/protobuf/wire';

/**
 * The name of an encoded resource: field 1 of Listener, RouteConfiguration, Cluster, ClusterLoadAssignment and Secret. Read apart from
 * the rest, so that a resource which cannot be decoded still has one (gRFC A46: the others of its response stay valid).
 */
export function resourceName(value: Uint8Array): string {
  let name = '';
  try {
    const reader = new BinaryReader(value);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === 1 && wireType === WireType.LengthDelimited) name = reader.string();
      else reader.skip(wireType, field);
    }
  } catch {
    // Damaged behind the name: what was read of it counts.
  }
  return name;
}
