// One configuration file: its documents, and the objects in them.
import { rawResourceGroup, rawResourceKind, type ConfigObject, type ConfigProblem, type ObjectMetadata, type Position } from '../config/config-object.js';
import { joinPath } from '../config/field-path.js';
import { locate, parse, splitDocuments } from './config-document.js';

export interface ConfigFile {
  objects: ConfigObject[];
  problems: ConfigProblem[];
  /** Something could not be read: which objects the file would hold is not known. */
  incomplete: boolean;
}

type Data = Readonly<Record<string, unknown>>;
type Locate = (path: string) => Position;

export function parseConfigFile(file: string, text: string, source: string): ConfigFile {
  const steps = parseSteps(file, text, source);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** How long a file may keep the process from its clients without a pause, milliseconds; a single document is not divided. */
const sliceMs = 20;

/** `parseConfigFile` with pauses: a large file must not hold up the streams of every client. */
export async function parseConfigFileInSlices(file: string, text: string, source: string): Promise<ConfigFile> {
  const steps = parseSteps(file, text, source);
  let pausedAt = performance.now();
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() - pausedAt < sliceMs) continue;
    await new Promise(setImmediate);
    pausedAt = performance.now();
  }
}

/** One step a document. */
function* parseSteps(file: string, text: string, source: string): Generator<void, ConfigFile, void> {
  const result: ConfigFile = { objects: [], problems: [], incomplete: false };
  const fail = (reason: string, position: Position, field = '', object = '') => {
    result.incomplete = true;
    result.problems.push({ severity: 'error', reason, position, ...(field && { field }), ...(object && { object }) });
  };
  for (const document of splitDocuments(text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n'))) {
    yield;
    const { value, errors } = parse(file, document);
    for (const { reason, position } of errors) fail(reason, position);
    if (errors.length > 0 || value === null || value === undefined) continue;
    const place = remembered((path) => locate(file, document, path));
    const read = (item: unknown, prefix: string): void => {
      const add = (object: Omit<ConfigObject, 'position' | 'source'>, base: string) =>
        result.objects.push({ ...object, source, position: (path = '') => place(path ? join(base, path) : base) });
      if (!isData(item)) return fail('is not an object', place(prefix), prefix);
      if (Array.isArray(item['resources']) && item['kind'] === undefined) {
        for (const [at, resource] of item['resources'].entries()) {
          const object = rawObject(resource, joinPath(join(prefix, 'resources'), at));
          if (typeof object === 'string') fail(object, place(joinPath(join(prefix, 'resources'), at)), joinPath(join(prefix, 'resources'), at));
          else add(object, '');
        }
        return;
      }
      if (typeof item['kind'] === 'string' && item['kind'].endsWith('List') && Array.isArray(item['items'])) {
        for (const [at, inner] of item['items'].entries()) read(inner, joinPath(join(prefix, 'items'), at));
        return;
      }
      const object = configObject(item);
      if ('reason' in object) fail(object.reason, place(join(prefix, object.field)), join(prefix, object.field), object.object);
      else add(object, prefix);
    };
    read(value, '');
  }
  return result;
}

/** Finding a place parses the document again, and warnings are looked up at every scrape of the metrics. */
function remembered(find: Locate): Locate {
  const known = new Map<string, Position>();
  return (path) => {
    let place = known.get(path);
    if (!place) known.set(path, (place = find(path)));
    return place;
  };
}

function configObject(body: Data): Omit<ConfigObject, 'position' | 'source'> | { field: string; reason: string; object?: string } {
  const { apiVersion, kind, metadata } = body;
  if (typeof apiVersion !== 'string' || apiVersion === '') return { field: 'apiVersion', reason: 'is required' };
  if (typeof kind !== 'string' || kind === '') return { field: 'kind', reason: 'is required' };
  const { name, namespace = '', labels, annotations, creationTimestamp } = isData(metadata) ? metadata : {};
  if (typeof name !== 'string' || name === '') return { field: 'metadata.name', reason: 'is required', object: kind };
  // Both become parts of resource names, file names and keys.
  if (!/^[a-z0-9]([a-z0-9.:-]{0,251}[a-z0-9])?$/i.test(name)) return { field: 'metadata.name', reason: `${JSON.stringify(name)} is not a name (letters, digits, - and .)`, object: kind };
  if (typeof namespace !== 'string' || !/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$/.test(namespace)) {
    return { field: 'metadata.namespace', reason: `${JSON.stringify(namespace)} is not a namespace`, object: `${kind} ${name}` };
  }
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/', 2) : ['', apiVersion];
  const created = typeof creationTimestamp === 'string' ? Date.parse(creationTimestamp) : Number.NaN;
  const known: ObjectMetadata = { name, namespace, labels: strings(labels), annotations: strings(annotations), ...(!Number.isNaN(created) && { creationTimestamp: created }) };
  return { group: group!, version: version!, kind, metadata: known, body };
}

/** A raw xDS resource, identified by type and name so that its last good version can be found again. */
function rawObject(resource: unknown, path: string): Omit<ConfigObject, 'position' | 'source'> | string {
  if (!isData(resource) || typeof resource['@type'] !== 'string') return 'must be an object with @type, the type URL of an xDS resource';
  const type = resource['@type'].split('/').at(-1)!;
  const name = resource['name'] ?? resource['clusterName'] ?? resource['cluster_name'];
  if (typeof name !== 'string' || name === '') return `a ${type} needs a name to be subscribed to`;
  return {
    group: rawResourceGroup,
    version: 'v1',
    kind: rawResourceKind,
    metadata: { name: `${type}/${name}`, namespace: '', labels: {}, annotations: {} },
    body: { path, resource },
  };
}

function join(prefix: string, path: string): string {
  return prefix && path ? `${prefix}.${path}` : prefix || path;
}

function isData(value: unknown): value is Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function strings(value: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(isData(value) ? value : {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
