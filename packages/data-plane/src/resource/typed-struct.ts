// TypedStruct: an extension's configuration as JSON, for control planes that do not have its message.
import { fromBinary, fromJson, toBinary, type DescMessage } from '@weft/xds-api/protobuf';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import { TypedStructSchema } from '@weft/xds-api/typed-struct';
import type { Report } from './report.js';
import { typeNameOf } from './value.js';

export interface ExtensionConfig {
  typeUrl: string;
  /** The encoded message; the JSON text (UTF-8) where it came as a TypedStruct of a type that Weft has no message for. */
  value: Uint8Array;
}

/** Finds a message by its name, among those that extensions brought along. */
export type MessageLookup = (typeName: string) => DescMessage | undefined;

export function messageLookup(extensions: readonly { readonly messages?: readonly DescMessage[] }[]): MessageLookup {
  const byName = new Map(extensions.flatMap(({ messages = [] }) => messages.map((message) => [message.typeName, message] as const)));
  return (typeName) => byName.get(typeName);
}

/** Looks through xds.type.v3.TypedStruct and udpa.type.v1.TypedStruct (same fields) at what they stand for. */
export function unwrapTypedStruct(any: Any, path: string, messages: MessageLookup, report: Report): ExtensionConfig | undefined {
  const name = typeNameOf(any);
  if (name !== 'xds.type.v3.TypedStruct' && name !== 'udpa.type.v1.TypedStruct') return any;
  return report.attempt(path, () => {
    const { typeUrl, value } = fromBinary(TypedStructSchema, any.value);
    if (typeUrl === '') throw new Error('TypedStruct without type_url');
    const json = value ?? {};
    const schema = messages(typeUrl.slice(typeUrl.lastIndexOf('/') + 1));
    if (!schema) return { typeUrl, value: Buffer.from(JSON.stringify(json)) };
    try {
      return { typeUrl, value: toBinary(schema, fromJson(schema, json)) };
    } catch (error) {
      throw new Error(`value does not fit ${schema.typeName}: ${(error as Error).message}`, { cause: error });
    }
  });
}
