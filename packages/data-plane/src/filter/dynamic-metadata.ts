// Dynamic metadata of a request: filters write it, others and access logs read it. Values are frozen: requests share them.
import type { StreamInfo } from '../stream/stream-info.js';

export type MetadataValues = Readonly<Record<string, unknown>>;

/** Replaces single values of the namespace; others stay. */
export function addMetadata(info: StreamInfo, namespace: string, values: MetadataValues): void {
  info.metadata ??= new Map();
  const before = info.metadata.get(namespace);
  info.metadata.set(namespace, before ? Object.freeze({ ...before, ...values }) : values);
}

/** Follows a path of keys. Own properties only: names come from the wire. */
export function metadataAt(values: MetadataValues | undefined, path: readonly string[]): unknown {
  let found: unknown = values;
  for (const key of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}

/** Envoy's StructUtil::update: objects merge, lists append, everything else is replaced. */
export function mergeMetadata(into: MetadataValues, from: MetadataValues): MetadataValues {
  const merged: Record<string, unknown> = { ...into };
  for (const [key, value] of Object.entries(from)) {
    const before = Object.hasOwn(merged, key) ? merged[key] : undefined;
    if (isObject(before) && isObject(value)) merged[key] = mergeMetadata(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) merged[key] = [...(before as unknown[]), ...(value as unknown[])];
    else merged[key] = value;
  }
  return Object.freeze(merged);
}

const isObject = (value: unknown): value is MetadataValues => typeof value === 'object' && value !== null && !Array.isArray(value);
