// Fields that a message came with and our protos do not have, in the message and in all messages within it. Values are walked instead of
// descriptors, and paths are made only where there is something: nearly all messages have none, and a table of thousands of routes is looked
// through with every update.
import type { Message } from '@weft/xds-api/protobuf';

interface UnknownFields {
  /** Of the message that holds them, in proto names. */
  readonly path: string;
  readonly fields: NonNullable<Message['$unknown']>;
}

/** An Any is opaque: its content is looked at where it is unpacked. */
export function unknownFields(message: Message, path: string): UnknownFields[] {
  const found: UnknownFields[] = [];
  if (hasUnknown(message)) visit(message, path, found);
  return found;
}

function hasUnknown(value: object): boolean {
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) if (typeof item === 'object' && item !== null && hasUnknown(item)) return true;
    return false;
  }
  if (value instanceof Uint8Array) return false;
  for (const key of Object.keys(value)) {
    if (key === '$unknown') return true;
    const field = (value as Record<string, unknown>)[key];
    if (typeof field === 'object' && field !== null && hasUnknown(field)) return true;
  }
  return false;
}

function visit(value: unknown, path: string, found: UnknownFields[]): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  if (Array.isArray(value)) return value.forEach((item, i) => visit(item, `${path}[${i}]`, found));
  if (!isMessage(value)) {
    // A map. Plain JSON (a Struct) looks the same and holds no messages.
    for (const key of Object.keys(value)) visit((value as Record<string, unknown>)[key], `${path}[${JSON.stringify(key)}]`, found);
    return;
  }
  if (value.$unknown) found.push({ path, fields: value.$unknown });
  for (const key of Object.keys(value)) {
    if (!key.startsWith('$')) visitField(key, (value as unknown as Record<string, unknown>)[key], path, found);
  }
}

function visitField(key: string, field: unknown, path: string, found: UnknownFields[]): void {
  if (typeof field !== 'object' || field === null) return;
  const { case: chosen, value } = field as { case?: unknown; value?: unknown };
  const oneof = typeof chosen === 'string' && !isMessage(field);
  visit(oneof ? value : field, `${path}${path === '' ? '' : '.'}${protoName(oneof ? chosen : key)}`, found);
}

function isMessage(value: object): value is Message {
  return typeof (value as Partial<Message>).$typeName === 'string';
}

function protoName(localName: string): string {
  return localName.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
