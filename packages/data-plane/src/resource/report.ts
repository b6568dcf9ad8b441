// Collects what is wrong with one resource while it is decoded, and finds fields nobody reads.
import { isFieldSet, type DescField, type DescMessage, type Message } from '@weft/xds-api/protobuf';
import { DecodeError, type FieldProblem } from '../xds/resource-type.js';
import { unknownFields } from './unknown-fields.js';

// A NACK's text travels in a gRPC message: past this many problems the rest is counted, not spelled out.
const longestList = 20;

export class Report {
  readonly problems: FieldProblem[] = [];
  /** Whether the whole of the first message was looked through for unknown fields: decoders check a message, and then those within it. */
  #walked = false;

  add(path: string, reason: string): void {
    this.problems.push({ path, reason });
  }

  unsupported(path: string): void {
    this.add(path, 'not supported');
  }

  /** Every field of the message that is set, but neither read nor known to be harmless, is a problem; so are unknown ones, in the messages within it too. */
  check(fields: KnownFields, message: Message, path: string): void {
    for (const field of fields.rejected) {
      if (isFieldSet(message, field) && !isFalse(message, field)) this.unsupported(join(path, field.name));
    }
    if (!this.#walked) this.checkUnknown(message, path);
    // Of one that was packed in another.
    else if (message.$unknown) this.#addUnknown(path, message.$unknown);
  }

  /** Fields of a newer Envoy than our protos, in the message and all within it: what they ask for cannot even be named, so it must not be dropped silently. */
  checkUnknown(message: Message, path: string): void {
    this.#walked = true;
    for (const { path: at, fields } of unknownFields(message, path)) this.#addUnknown(at, fields);
  }

  #addUnknown(path: string, fields: NonNullable<Message['$unknown']>): void {
    for (const { no } of fields) {
      const at = join(path, `#${no}`);
      if (!this.problems.some((problem) => problem.path === at)) this.add(at, 'not supported (a field this version of Weft does not know)');
    }
  }

  /** Runs a parser of an extension; what it throws becomes a problem here. */
  attempt<T>(path: string, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      if (error instanceof DecodeError) for (const problem of error.problems) this.add(join(path, problem.path), problem.reason);
      else this.add(path, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  /** @throws {DecodeError} where there was any problem. */
  finish(what: string): void {
    if (this.problems.length === 0) return;
    const shown = this.problems.slice(0, longestList);
    const more = this.problems.length - shown.length;
    throw new DecodeError(what, more > 0 ? [...shown, { path: '', reason: `and ${more} more` }] : shown);
  }
}

/** What every decoder said of the fields it knows, for docs/xds-support.md and the test that keeps it true. */
export const knownFieldLists: { readonly message: string; readonly reads: readonly string[]; readonly ignores: readonly string[]; readonly rejects: readonly string[] }[] = [];

export interface KnownFields {
  readonly rejected: readonly DescField[];
}

/**
 * What a decoder makes of a message: the fields it reads, and those it leaves aside because they change nothing that an application or
 * an operator could rely on (statistics' names, tuning of buffers). All others are rejected where they are set. Proto names.
 * `refuses`: those whose refusal the decoder words itself.
 */
export function knownFields(schema: DescMessage, reads: readonly string[], ignores: readonly string[] = [], refuses: readonly string[] = []): KnownFields {
  const names = new Set([...reads, ...ignores, ...refuses]);
  const rejected = schema.fields.filter((field) => !names.delete(field.name));
  if (names.size > 0) throw new Error(`${schema.typeName} has no field ${[...names].join(', ')}`);
  knownFieldLists.push({ message: schema.typeName, reads, ignores, rejects: [...rejected.map(({ name }) => name), ...refuses] });
  return { rejected };
}

export function join(path: string, name: string): string {
  if (path === '') return name;
  return name === '' || name.startsWith('[') ? `${path}${name}` : `${path}.${name}`;
}

// A BoolValue that says false asks for nothing (grpc-js-xds 1.14.1 NACKs `{value: false}`, which Envoy and istiod may send).
function isFalse(message: Message, field: DescField): boolean {
  return field.fieldKind === 'message' && field.message.typeName === 'google.protobuf.BoolValue' && (message as unknown as Record<string, unknown>)[field.localName] === false;
}
