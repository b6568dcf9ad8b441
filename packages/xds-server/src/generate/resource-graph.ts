// The incremental compiler: resources by (profile, type, name), each remembering what it was made from. A change costs what
// depends on it and reaches who subscribed to it, however large the mesh is.
import { silentLogger, type Logger } from '@weft/spiffe';
import type { Dependency } from '../model/change-set.js';
import type { MeshReader } from '../model/mesh-reader.js';
import type { MeshSource } from '../model/mesh-source.js';
import { noLocality } from '../model/workload.js';
import { resourceTypes, typeUrls, type NodeFacets, type Profile, type ResourceType } from './generator.js';
import { EncodedResource } from './resource-graph-encoded.js';
import { ResourceMemo, type Watch } from './resource-graph-memo.js';

/** The trusted roots, PEM, the active authority first. */
export interface AuthoritySource {
  current(): readonly string[];
  subscribe(fn: () => void): () => void;
}

/** A client's interest in one resource; `current` is undefined where it does not exist for this client. */
export type Subscription = Watch<EncodedResource | undefined>;
export type NameSubscription = Watch<readonly string[]>;

export interface ResourceGraphOptions {
  model: MeshSource;
  authorities?: AuthoritySource;
  logger?: Logger;
}

export interface GeneratedOnce {
  resource: EncodedResource | undefined;
  warnings: readonly string[];
}

/** Not a key of the model's: those are all `kind/name`. */
const authoritiesDependency: Dependency = 'authorities';

/** Reads without a client, such as a WorkloadGroup's: no facet is ever looked at. */
const nobody: NodeFacets = Object.freeze({
  namespace: '', workload: '', serviceAccount: '', labels: {}, locality: noLocality, addresses: [], hasIdentity: false, portOffset: 0, userAgent: '', id: '',
});

export class ResourceGraph {
  readonly #model: MeshSource;
  readonly #authorities: AuthoritySource | undefined;
  readonly #logger: Logger;
  readonly #memo = new ResourceMemo();
  readonly #stop: (() => void)[] = [];
  #generatorRuns = 0;
  #encodes = 0;

  constructor({ model, authorities, logger = silentLogger }: ResourceGraphOptions) {
    this.#model = model;
    this.#authorities = authorities;
    this.#logger = logger;
    this.#stop.push(model.onChange((change) => this.#memo.invalidate(change.dependencies)));
    if (authorities) this.#stop.push(authorities.subscribe(() => this.#memo.invalidate([authoritiesDependency])));
  }

  get revision(): number {
    return this.#model.revision;
  }

  /** Counts since the start. `notifications`: how often a subscriber was told. */
  get stats(): { generatorRuns: number; encodes: number; notifications: number } {
    return { generatorRuns: this.#generatorRuns, encodes: this.#encodes, notifications: this.#memo.notifications };
  }

  /** @param onChange is called after the resource changed, appeared or went; never for equal bytes. */
  subscribe(profile: Profile, node: NodeFacets, type: ResourceType, name: string, onChange: () => void): Subscription {
    return this.#memo.watch<EncodedResource | undefined>(
      {
        key: `${profile.name}/${type}/${name}`,
        stage: resourceTypes.indexOf(type),
        compute: (facets, record, previous, notes) => this.#compute(profile, facets, type, name, record, previous, notes),
        same: (a, b) => a?.version === b?.version,
      },
      node,
      onChange,
    );
  }

  /** The names a wildcard stands for, sorted. */
  subscribeNames(profile: Profile, node: NodeFacets, type: ResourceType, onChange: () => void): NameSubscription {
    return this.#memo.watch<readonly string[]>(
      {
        key: `${profile.name}/${type}`,
        stage: resourceTypes.indexOf(type),
        compute: (facets, record, previous, notes) => {
          const what = `names of ${profile.name} ${type}`;
          return this.#guarded(what, previous ?? [], notes, () => this.#names(profile, facets, type, record, (reason) => this.#note(notes, what, reason)));
        },
        same: (a, b) => a.length === b.length && a.every((name, index) => name === b[index]),
      },
      node,
      onChange,
    );
  }

  /** Follows a few facts of the model, for what is no resource (a node's WorkloadGroup). Reads with equal keys share one evaluation. */
  observe<T>(key: string, read: (model: MeshReader) => T, onChange: () => void): Watch<T> {
    const compute = (_: NodeFacets, record: (dependency: Dependency) => void) => read(this.#model.reader(record));
    return this.#memo.watch<T>({ key: `observe/${key}`, stage: 0, compute, same: (a, b) => a === b }, nobody, onChange);
  }

  /** One resource, once, with what its generator had to say: for `weft generate`. Errors of the generator pass. */
  generate(profile: Profile, node: NodeFacets, type: ResourceType, name: string): GeneratedOnce {
    const warnings: string[] = [];
    const resource = this.#run(profile, node, type, name, () => undefined, undefined, (reason) => warnings.push(reason));
    return { resource, warnings };
  }

  /** All names of a type for a client, once. */
  names(profile: Profile, node: NodeFacets, type: ResourceType): { names: readonly string[]; warnings: readonly string[] } {
    const warnings: string[] = [];
    const names = this.#names(profile, node, type, () => undefined, (reason) => warnings.push(reason));
    return { names, warnings };
  }

  /** Brings everything up to date now instead of on the next turn of the event loop. */
  flush(): void {
    this.#memo.flush();
  }

  close(): void {
    for (const stop of this.#stop.splice(0)) stop();
    this.#memo.close();
  }

  #compute(profile: Profile, node: NodeFacets, type: ResourceType, name: string, record: (dependency: Dependency) => void, previous: EncodedResource | undefined, notes: Set<string>): EncodedResource | undefined {
    const what = `${profile.name} ${type} ${name}`;
    return this.#guarded(what, previous, notes, () => this.#run(profile, node, type, name, record, previous, (reason) => this.#note(notes, what, reason)));
  }

  #run(profile: Profile, node: NodeFacets, type: ResourceType, name: string, record: (dependency: Dependency) => void, previous: EncodedResource | undefined, warn: (reason: string) => void): EncodedResource | undefined {
    const model = this.#model.reader(record);
    const raw = model.rawResource(typeUrls[type], name);
    const made = raw ?? this.#generated(profile, node, type, name, model, record, warn);
    if (!made) return undefined;
    if (previous && previous.typeUrl === made.typeUrl && Buffer.compare(previous.value, made.value) === 0) return previous;
    return new EncodedResource(name, made.typeUrl, made.value, () => this.#encodes++);
  }

  #generated(profile: Profile, node: NodeFacets, type: ResourceType, name: string, model: MeshReader, record: (dependency: Dependency) => void, warn: (reason: string) => void) {
    this.#generatorRuns++;
    return profile.generate(type, name, { model, node, authorities: () => this.#roots(record), warn });
  }

  #names(profile: Profile, node: NodeFacets, type: ResourceType, record: (dependency: Dependency) => void, warn: (reason: string) => void): readonly string[] {
    const model = this.#model.reader(record);
    const names = new Set(profile.names(type, { model, node, authorities: () => this.#roots(record), warn }));
    for (const name of model.rawResourceNames(typeUrls[type])) names.add(name);
    return [...names].sort();
  }

  #roots(record: (dependency: Dependency) => void): readonly string[] {
    record(authoritiesDependency);
    return this.#authorities?.current() ?? [];
  }

  /** A generator that fails must cost its own resource an update, not the stream, and not the resource. */
  #guarded<T>(what: string, lastGood: T, notes: Set<string>, run: () => T): T {
    try {
      const value = run();
      for (const note of notes) if (note.startsWith('error: ')) notes.delete(note);
      return value;
    } catch (error) {
      const note = `error: ${error instanceof Error ? error.message : String(error)}`;
      if (!notes.has(note)) this.#logger.error({ err: error, resource: what }, `generating ${what} failed; clients keep the last good one`);
      notes.add(note);
      return lastGood;
    }
  }

  #note(notes: Set<string>, what: string, reason: string): void {
    const note = `warning: ${reason}`;
    if (notes.has(note)) return;
    notes.add(note);
    this.#logger.warn({ resource: what }, `${what}: ${reason}`);
  }
}
