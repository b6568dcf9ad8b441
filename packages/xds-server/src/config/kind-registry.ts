import { Fields } from './fields.js';
import type { ConfigKind, NormalizeContext } from './config-kind.js';
import { describeObject, type ConfigObject, type ConfigProblem } from './config-object.js';
import type { MeshSettings } from '../model/mesh-reader.js';
import type { ModelObject } from '../model/model-object.js';

export interface Normalized {
  /** Absent where an error rejects the object. */
  objects?: readonly ModelObject[];
  problems: ConfigProblem[];
}

/** The known kinds, and what an object means under its kind. */
export class KindRegistry {
  readonly #kinds = new Map<string, ConfigKind>();
  readonly #settings: MeshSettings;

  constructor(kinds: readonly ConfigKind[], settings: MeshSettings) {
    this.#settings = settings;
    for (const kind of kinds) this.#kinds.set(`${kind.group}/${kind.kind}`, kind);
  }

  kindOf(object: Pick<ConfigObject, 'group' | 'kind'>): ConfigKind | undefined {
    return this.#kinds.get(`${object.group}/${object.kind}`);
  }

  /** With the namespace that objects of its kind have when they name none. */
  inNamespace(object: ConfigObject): ConfigObject {
    const kind = this.kindOf(object);
    const { metadata } = object;
    const namespace = kind?.namespaced === false ? '' : metadata.namespace || 'default';
    return namespace === metadata.namespace ? object : { ...object, metadata: { ...metadata, namespace } };
  }

  normalize(object: ConfigObject): Normalized {
    const kind = this.kindOf(object);
    if (!kind) return { objects: [], problems: [] };
    const problems: ConfigProblem[] = [];
    const add = (severity: ConfigProblem['severity']) => (field: string, reason: string) => {
      const position = object.position(field);
      problems.push({ severity, object: describeObject(object), ...(field && { field }), reason, ...(position && { position }) });
    };
    const context: NormalizeContext = { ...this.#settings, error: add('error'), warn: add('warning') };
    if (!kind.versions.includes(object.version)) context.error('apiVersion', `${object.version} is not a version of ${object.kind}: use ${kind.versions[0]}`);
    checkMetadata(object, context);
    try {
      const objects = kind.normalize(object, context);
      return problems.some(({ severity }) => severity === 'error') ? { problems } : { objects, problems };
    } catch (error) {
      context.error('', `cannot be read: ${(error as Error).message}`);
      return { problems };
    }
  }
}

/** Sources keep only what has the right type, so the plain body tells what was wrong. */
function checkMetadata(object: ConfigObject, context: NormalizeContext): void {
  if (object.body['metadata'] === undefined) return;
  const metadata = new Fields(object.body['metadata'], 'metadata', context);
  metadata.labels('labels');
  metadata.labels('annotations');
  const created = metadata.string('creationTimestamp');
  if (created !== undefined && Number.isNaN(Date.parse(created))) metadata.error('creationTimestamp', `${JSON.stringify(created)} is not a time`);
}
