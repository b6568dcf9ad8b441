// One object of configuration as a source delivers it, before its kind gave it a meaning.

/** Where an object or a field stands, for messages people can follow. Lines and columns count from 1. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

export interface ObjectMetadata {
  name: string;
  /** Empty for cluster-wide kinds; `default` where a namespaced object names none. */
  namespace: string;
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. Objects without one sort before all others, then by name and namespace. */
  creationTimestamp?: number;
}

export interface ConfigObject {
  /** `networking.istio.io`; empty for Kubernetes' core group. */
  group: string;
  /** `v1`, `v1beta1`, … */
  version: string;
  kind: string;
  metadata: ObjectMetadata;
  /** The whole object as plain data; kinds read `spec`, `data`, `endpoints`, … of it. */
  body: Readonly<Record<string, unknown>>;
  /** Which source it came from: two sources may hold the same key, the first in order wins. */
  source: string;
  /** The place of the object, or of a field inside it by path (`spec.http[0].route`). */
  position(path?: string): Position | undefined;
}

/** The group and kind under which raw xDS resources travel (config/raw-resource.ts). */
export const rawResourceGroup = 'xds.weft';
export const rawResourceKind = 'Resource';

/** `VirtualService default/payments`: how an object is called in messages. */
export function describeObject(object: Pick<ConfigObject, 'kind' | 'metadata'>): string {
  const { namespace, name } = object.metadata;
  return `${object.kind} ${namespace ? `${namespace}/` : ''}${name}`;
}

/** The identity of an object across sources and versions of its API. */
export function objectKey(object: Pick<ConfigObject, 'group' | 'kind' | 'metadata'>): string {
  return `${object.group}/${object.kind}/${object.metadata.namespace}/${object.metadata.name}`;
}

/** Something wrong with an object. An `error` rejects the object (its last good version stays), a `warning` does not. */
export interface ConfigProblem {
  severity: 'error' | 'warning';
  /** `VirtualService default/payments`; absent where the file cannot be read at all. */
  object?: string;
  /** `spec.http[0].route[1].weight`. */
  field?: string;
  reason: string;
  position?: Position;
}

/** `FILE:LINE:COL Kind NS/NAME: field.path: reason`, with `warning: ` before it for warnings. */
export function formatProblem(problem: ConfigProblem): string {
  const { position, object, field, reason, severity } = problem;
  const place = position ? `${position.file}:${position.line}:${position.column}` : '';
  const parts = [[place, object].filter(Boolean).join(' '), field, reason].filter(Boolean);
  return `${severity === 'warning' ? 'warning: ' : ''}${parts.join(': ')}`;
}
