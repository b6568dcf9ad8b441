// Small values of many messages: durations, fractions, weights, Any, metadata.
import { fromBinary, type DescMessage, type JsonObject, type MessageShape } from '@weft/xds-api/protobuf';
import type { Any, Duration } from '@weft/xds-api/protobuf/wkt';
import { FractionalPercent_DenominatorType, type FractionalPercent, type Metadata, RuntimeFeatureFlagSchema, type RuntimeFeatureFlag, type RuntimeFractionalPercent } from '@weft/xds-api/core';
import type { WorkloadInfo } from '../stream/stream-info.js';
import type { FractionConfig } from './matcher-config.js';
import { join, knownFields, type Report } from './report.js';

export type FilterMetadata = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The largest sum of weights that Envoy and gRPC take. */
export const maxTotalWeight = 2 ** 32 - 1;

// google.protobuf.Duration allows ±10,000 years.
const longestSeconds = 315_576_000_000n;

/** Milliseconds. Undefined where it is unset or wrong. */
export function durationMs(duration: Duration | undefined, path: string, report: Report, { positive = false } = {}): number | undefined {
  if (!duration) return undefined;
  const { seconds, nanos } = duration;
  if (seconds < 0n || seconds > longestSeconds || nanos < 0 || nanos > 999_999_999) {
    report.add(path, 'must be a duration of 0 s to 315576000000 s');
    return undefined;
  }
  const ms = Number(seconds) * 1000 + nanos / 1e6;
  if (positive && ms === 0) report.add(path, 'must be greater than 0');
  return ms;
}

export function fraction(percent: FractionalPercent | undefined, path: string, report: Report): FractionConfig | undefined {
  if (!percent) return undefined;
  const denominator = { [FractionalPercent_DenominatorType.HUNDRED]: 100, [FractionalPercent_DenominatorType.TEN_THOUSAND]: 10_000, [FractionalPercent_DenominatorType.MILLION]: 1_000_000 }[percent.denominator];
  if (denominator === undefined) {
    report.add(join(path, 'denominator'), `unknown value ${percent.denominator}`);
    return undefined;
  }
  return { numerator: Math.min(percent.numerator, denominator), denominator };
}

/** There is no runtime layer in a process: the default counts. */
export function runtimeFraction(value: RuntimeFractionalPercent | undefined, path: string, report: Report): FractionConfig | undefined {
  return value && fraction(value.defaultValue, join(path, 'default_value'), report);
}

const flagFields = knownFields(RuntimeFeatureFlagSchema, ['default_value'], ['runtime_key']);

/** There is no runtime layer in a process: the default counts; without a flag it is on. */
export function featureFlag(flag: RuntimeFeatureFlag | undefined, path: string, report: Report): boolean {
  if (!flag) return true;
  report.check(flagFields, flag, path);
  if (flag.defaultValue === undefined) report.add(join(path, 'default_value'), 'is required');
  return flag.defaultValue ?? true;
}

export function typeNameOf(any: Any): string {
  return any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1);
}

/** The message in an Any that must hold this type. */
export function unpack<T extends DescMessage>(any: Any, schema: T, path: string, report: Report): MessageShape<T> | undefined {
  if (typeNameOf(any) !== schema.typeName) {
    report.add(path, `must be ${schema.typeName}, is ${typeNameOf(any) || 'empty'}`);
    return undefined;
  }
  return report.attempt(path, () => {
    const message = fromBinary(schema, any.value);
    report.checkUnknown(message, path);
    return message;
  });
}

export function filterMetadata(metadata: Metadata | undefined): FilterMetadata {
  // A null prototype: names come from the wire, and `__proto__` is one of them.
  return metadata ? (Object.assign(Object.create(null), metadata.filterMetadata) as Record<string, JsonObject>) : noMetadata;
}

const noMetadata: FilterMetadata = Object.freeze(Object.create(null) as Record<string, JsonObject>);

/** Istio's `WORKLOAD;NAMESPACE;CANONICAL_SERVICE;CANONICAL_REVISION;CLUSTER`. */
export function workloadOf(metadata: FilterMetadata): WorkloadInfo | undefined {
  const text = metadata['istio']?.['workload'];
  if (typeof text !== 'string') return undefined;
  const [name = '', namespace = '', canonicalService = '', canonicalRevision = '', cluster = ''] = text.split(';');
  return { name, namespace, canonicalService, canonicalRevision, cluster };
}

/** Istio's `services: [{host, name, namespace}]`. */
export function servicesOf(metadata: FilterMetadata): { host: string; name: string; namespace: string }[] {
  const services = metadata['istio']?.['services'];
  if (!Array.isArray(services)) return [];
  return services.map((service: unknown) => {
    const fields = (typeof service === 'object' && service !== null ? service : {}) as Record<string, unknown>;
    const text = (name: string) => (typeof fields[name] === 'string' ? (fields[name] as string) : '');
    return { host: text('host'), name: text('name'), namespace: text('namespace') };
  });
}

/** Text of a configuration as it stands in a header: its UTF-8 bytes, one letter each, which is how headers are held. */
export function bytesOf(text: string): string {
  return /[^\0-\x7f]/.test(text) ? Buffer.from(text).toString('latin1') : text;
}
