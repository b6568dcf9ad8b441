import { fromBinary, type DescMessage, type MessageShape } from '@weft/xds-api/protobuf';
import { Report, type KnownFields } from '../../resource/report.js';

/** A policy's configuration. Throws where it sets a field that is not read: certainly not without meaning. */
export function readMessage<T extends DescMessage>(schema: T, fields: KnownFields, value: Uint8Array): MessageShape<T> {
  const message = fromBinary(schema, value);
  const report = new Report();
  report.check(fields, message, '');
  report.finish(schema.name);
  return message;
}

/** Milliseconds; throws where it is not above zero. */
export function positiveMs(duration: { seconds: bigint; nanos: number } | undefined, fallback: number, field: string): number {
  if (!duration) return fallback;
  const ms = Number(duration.seconds) * 1000 + duration.nanos / 1e6;
  if (!(ms > 0)) throw new Error(`${field} must be greater than 0`);
  return ms;
}
