import { silentLogger, type Logger } from '@weft/spiffe';
import type { Store } from '@weft/store';
import type { MeshModel } from '../model/mesh-model.js';
import type { MeshSettings } from '../model/mesh-reader.js';
import type { ConfigSink, PartOptions } from '../source/config-source.js';
import { analyze } from './analyze.js';
import type { ConfigKind } from './config-kind.js';
import { describeObject, formatProblem, type ConfigObject, type ConfigProblem } from './config-object.js';
import { byKey, ConfigParts } from './config-parts.js';
import { KindRegistry } from './kind-registry.js';
import { LastGood, type StoredObject } from './last-good.js';

export interface ConfigPipelineOptions {
  kinds: readonly ConfigKind[];
  model: MeshModel;
  /** Without it last good versions do not survive a restart. */
  store?: Store;
  /** Default: the model's. */
  settings?: Partial<MeshSettings>;
  /** Names of the sources, the one that wins first. Others come after these, in the order in which they deliver. */
  sources?: readonly string[];
  logger?: Logger;
}

interface Entry {
  object: ConfigObject;
  problems: readonly ConfigProblem[];
  /** Whether some version of it is in force: this one, or its last good one. */
  inForce: boolean;
  /** The version in force. */
  good?: ConfigObject;
}

/**
 * Sources in, model out: gives each object to its kind and the result to the model. An object with an error keeps its own
 * last good version and never stops the others.
 */
export class ConfigPipeline implements ConfigSink {
  readonly #kinds: KindRegistry;
  readonly #model: MeshModel;
  readonly #logger: Logger;
  readonly #lastGood: LastGood;
  readonly #parts = new ConfigParts();
  readonly #entries = new Map<string, Entry>();
  readonly #sources: string[];
  readonly #watchers = new Set<() => void>();
  readonly #unknown = new Set<string>();

  constructor({ kinds, model, store, settings, sources = [], logger = silentLogger }: ConfigPipelineOptions) {
    this.#kinds = new KindRegistry(kinds, { ...model.settings, ...settings });
    this.#model = model;
    this.#logger = logger;
    this.#lastGood = new LastGood(store, logger);
    this.#sources = [...sources];
  }

  /** Reads the versions that were in force before a restart; call it before the sources start. */
  async loadLastGood(): Promise<void> {
    await this.#lastGood.load();
  }

  /** Call it once all sources have delivered: forgets stored versions of objects that are in no part any more. */
  settled(): void {
    for (const [key, { part }] of this.#lastGood.entries()) {
      if (!this.#entries.has(key) && !this.#parts.get(part)) this.#lastGood.delete(key);
    }
  }

  /** Resolves when all last good versions are in the store. */
  flush(): Promise<void> {
    return this.#lastGood.flush();
  }

  /** Called after every delivery, also when only problems changed. */
  onChange(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  replace(part: string, objects: readonly ConfigObject[], problems: readonly ConfigProblem[], { incomplete = false, order = 0 }: PartOptions = {}): void {
    const duplicates: ConfigProblem[] = [];
    const current = byKey(objects.map((object) => this.#kinds.inNamespace(object)), (object, first) => duplicates.push(duplicate(object, first)));
    const before = this.#parts.get(part);
    const kept = incomplete ? this.#keep(part, current) : false;
    const source = objects[0]?.source ?? [...current.values()][0]?.source;
    const rank = source === undefined ? (before?.rank ?? Infinity) : this.#rank(source);
    const affected = this.#parts.set({ name: part, rank, order, objects: current, problems: [...problems, ...duplicates], kept });
    for (const [key, stored] of this.#lastGood.entries()) if (stored.part === part) affected.add(key);
    this.#log(problems);
    this.#apply(affected);
  }

  unreadable(part: string, problems: readonly ConfigProblem[]): void {
    this.replace(part, [], problems, { incomplete: true, order: this.#parts.get(part)?.order ?? 0 });
  }

  remove(part: string): void {
    this.#apply(this.#parts.delete(part));
  }

  /** Everything wrong or doubtful now: what sources and kinds report, and what does not fit together. */
  problems(): ConfigProblem[] {
    const problems = [...this.#parts.all()].flatMap((part) => part.problems);
    const unknown = new Set<string>();
    for (const [key, { object, problems: own }] of this.#entries) {
      problems.push(...own);
      const kind = `${object.group}/${object.kind}`;
      if (!this.#kinds.kindOf(object) && !unknown.has(kind)) problems.push(unknownKind(object));
      unknown.add(kind);
      for (const other of this.#parts.holders(key).slice(1)) problems.push(duplicate(other.objects.get(key)!, object));
    }
    return [...problems, ...analyze(this.#model, this.objects())].sort(byPlace);
  }

  /** Errors that leave something out of force altogether, since it has no last good version. */
  rejected(): ConfigProblem[] {
    const isError = ({ severity }: ConfigProblem) => severity === 'error';
    const parts = [...this.#parts.all()].filter((part) => !part.kept).flatMap((part) => part.problems);
    const entries = [...this.#entries.values()].filter((entry) => !entry.inForce).flatMap((entry) => entry.problems);
    return [...parts, ...entries].filter(isError).sort(byPlace);
  }

  /** The objects in force, each as its last good version; without those of unknown kinds. */
  objects(): ConfigObject[] {
    return [...this.#entries.values()].flatMap(({ good }) => good ?? []);
  }

  #rank(source: string): number {
    if (!this.#sources.includes(source)) this.#sources.push(source);
    return this.#sources.indexOf(source);
  }

  /** Adds what the part held before, now or before a restart. @returns whether there was anything. */
  #keep(part: string, current: Map<string, ConfigObject>): boolean {
    const size = current.size;
    for (const [key, object] of this.#parts.get(part)?.objects ?? []) if (!current.has(key)) current.set(key, object);
    for (const [key, stored] of this.#lastGood.entries()) if (stored.part === part && !current.has(key)) current.set(key, revive(stored));
    return current.size > size;
  }

  #apply(keys: ReadonlySet<string>): void {
    this.#model.batch(() => {
      for (const key of keys) {
        const [holder] = this.#parts.holders(key);
        const object = holder?.objects.get(key);
        if (holder && object) this.#put(key, holder.name, object);
        else this.#drop(key);
      }
    });
    for (const watcher of this.#watchers) watcher();
  }

  #put(key: string, part: string, object: ConfigObject): void {
    const before = this.#entries.get(key);
    if (before?.object === object) return;
    const { objects, problems } = this.#kinds.normalize(object);
    this.#log(problems);
    if (objects) {
      const known = this.#kinds.kindOf(object) !== undefined;
      this.#model.replace(key, objects);
      this.#entries.set(key, { object, problems, inForce: true, ...(known && { good: object }) });
      // Unknown kinds are not stored either: there may be Secrets among them.
      if (known) this.#lastGood.put(part, object);
      else this.#warnUnknown(object);
      return;
    }
    const good = before?.good ?? this.#revived(key);
    this.#entries.set(key, { object, problems, inForce: good !== undefined, ...(good && { good }) });
  }

  /** Puts the stored version of an object into force, where there is one that is still good. */
  #revived(key: string): ConfigObject | undefined {
    const stored = this.#lastGood.get(key);
    const object = stored && revive(stored);
    const objects = object && this.#kinds.normalize(object).objects;
    if (objects) this.#model.replace(key, objects);
    return objects && object;
  }

  #drop(key: string): void {
    this.#entries.delete(key);
    this.#model.replace(key, []);
    this.#lastGood.delete(key);
  }

  /** Once a kind: a cluster's manifests have hundreds of objects that do not concern the mesh. */
  #warnUnknown(object: ConfigObject): void {
    const kind = `${object.group}/${object.kind}`;
    if (this.#unknown.has(kind)) return;
    this.#unknown.add(kind);
    this.#log([unknownKind(object)]);
  }

  #log(problems: readonly ConfigProblem[]): void {
    for (const problem of problems) this.#logger[problem.severity === 'error' ? 'error' : 'warn']({}, formatProblem(problem));
  }
}

function revive({ object }: StoredObject): ConfigObject {
  return { ...object, position: () => undefined };
}

function unknownKind(object: ConfigObject): ConfigProblem {
  const position = object.position('kind');
  const name = object.group ? `${object.kind}.${object.group}` : object.kind;
  return { severity: 'warning', object: describeObject(object), reason: `the kind ${name} is not known: objects of it are not used`, ...(position && { position }) };
}

function duplicate(object: ConfigObject, first: ConfigObject): ConfigProblem {
  const position = object.position();
  const place = first.position();
  const where = place ? `${place.file}:${place.line}` : first.source;
  return { severity: 'warning', object: describeObject(object), reason: `is also in ${where}, which is in force`, ...(position && { position }) };
}

function byPlace(a: ConfigProblem, b: ConfigProblem): number {
  const [one, two] = [a.position, b.position];
  if (!one || !two) return Number(two !== undefined) - Number(one !== undefined);
  return one.file < two.file ? -1 : one.file > two.file ? 1 : one.line - two.line || one.column - two.column;
}
