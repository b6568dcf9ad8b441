import { fromBinary, type DescMessage, type MessageShape } from '@weft/xds-api/protobuf';
import { join } from '../../resource/report.js';
import { unknownFields } from '../../resource/unknown-fields.js';
import { DecodeError } from '../../xds/resource-type.js';

/** A policy's configuration. Throws where it sets a field that we do not know: of a newer Envoy, and certainly not without meaning. */
export function readMessage<T extends DescMessage>(schema: T, value: Uint8Array): MessageShape<T> {
  const message = fromBinary(schema, value);
  for (const { path, no } of unknownFields(message, '', new Set())) throw new DecodeError(schema.name, [{ path: join(path, `#${no}`), reason: 'not supported (a field this version of Weft does not know)' }]);
  return message;
}

/** Milliseconds; throws where it is not above zero. */
export function positiveMs(duration: { seconds: bigint; nanos: number } | undefined, fallback: number, field: string): number {
  if (!duration) return fallback;
  const ms = Number(duration.seconds) * 1000 + duration.nanos / 1e6;
  if (!(ms > 0)) throw new Error(`${field} must be greater than 0`);
  return ms;
}
