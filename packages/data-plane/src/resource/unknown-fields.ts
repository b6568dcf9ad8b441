// Fields that a message came with and our protos do not have, in the message and in all messages within it. Values are walked instead of
// descriptors: nearly all messages have none, and a table of thousands of routes is looked through with every update.
import type { Message } from '@weft/xds-api/protobuf';

interface UnknownField {
  /** Of the message that holds it, in proto names. */
  readonly path: string;
  readonly no: number;
}

/** What is in `walked` is passed over; what is looked at is added. An Any is opaque: its content is looked at where it is unpacked. */
export function unknownFields(message: Message, path: string, walked: Set<object>): UnknownField[] {
  const found: UnknownField[] = [];
  visit(message, () => path, walked, found);
  return found;
}

/** Paths are spelled out only where something is found. */
function visit(value: unknown, path: () => string, walked: Set<object>, found: UnknownField[]): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  if (Array.isArray(value)) {
    if (typeof value[0] === 'object') value.forEach((item, i) => visit(item, () => `${path()}[${i}]`, walked, found));
    return;
  }
  if (isMessage(value)) {
    if (walked.has(value)) return;
    walked.add(value);
    for (const { no } of value.$unknown ?? []) found.push({ path: path(), no });
  }
  for (const key in value) {
    if (key.startsWith('$')) continue;
    const field = (value as Record<string, unknown>)[key];
    if (typeof field !== 'object' || field === null) continue;
    if (isMessage(value)) visitField(key, field, path, walked, found);
    // A map. Plain JSON (a Struct) looks the same and holds no messages.
    else visit(field, () => `${path()}[${JSON.stringify(key)}]`, walked, found);
  }
}

function visitField(key: string, field: object, path: () => string, walked: Set<object>, found: UnknownField[]): void {
  const { case: chosen, value } = field as { case?: unknown; value?: unknown };
  const oneof = typeof chosen === 'string' && !isMessage(field);
  visit(oneof ? value : field, () => `${path()}${path() === '' ? '' : '.'}${protoName(oneof ? chosen : key)}`, walked, found);
}

function isMessage(value: object): value is Message {
  return typeof (value as Partial<Message>).$typeName === 'string';
}

function protoName(localName: string): string {
  return localName.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
