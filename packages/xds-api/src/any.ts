// Packing messages into google.protobuf.Any and the type URLs that name them.
import { create, fromBinary, toBinary, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { AnySchema } from '@bufbuild/protobuf/wkt';

const prefix = 'type.googleapis.com/';

/** The type URL of a message, as xDS writes it: `type.googleapis.com/` and the full name. */
export function typeUrl(schema: DescMessage): string {
  return prefix + schema.typeName;
}

/** Encodes a message (or what `create` accepts for it) into an Any. */
export function packAny<T extends DescMessage>(schema: T, value: MessageInitShape<T>): Any {
  const message = create(schema, value);
  return create(AnySchema, { typeUrl: typeUrl(schema), value: toBinary(schema, message as MessageShape<T>) });
}

/** Decodes an Any, or returns undefined where it holds another type. Throws where the bytes are not that message. */
export function unpackAny<T extends DescMessage>(any: Any | undefined, schema: T): MessageShape<T> | undefined {
  if (any === undefined || any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1) !== schema.typeName) return undefined;
  return fromBinary(schema, any.value);
}
