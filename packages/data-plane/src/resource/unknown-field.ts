// Fields of a newer Envoy than the definitions we have, read by their number. Only numbers and booleans.
import type { Message } from '@weft/xds-api/protobuf';
import { BinaryReader, WireType } from '@weft/xds-api/protobuf/wire';

/** The values in order, packed or not. */
export function unknownField(message: Message, number: number): number[] {
  const values: number[] = [];
  for (const { no, wireType, data } of message.$unknown ?? []) {
    if (no !== number) continue;
    const reader = new BinaryReader(data);
    if (wireType === WireType.Varint) values.push(reader.uint32());
    else if (wireType === WireType.LengthDelimited) for (const end = reader.uint32() + reader.pos; reader.pos < end;) values.push(reader.uint32());
  }
  return values;
}
