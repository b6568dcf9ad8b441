// A memo of values that depend on the model and on facts of a client: computed once for all clients that agree on the facts
// that were read, and again only when something they were made from changed.
import type { Dependency } from '../model/change-set.js';
import type { NodeFacets } from './generator.js';
import { facetValue, recordFacets, type FacetPath } from './resource-graph-facets.js';

export interface Watch<T> {
  /** Always up to date, also between a change and its notification. */
  current(): T;
  close(): void;
}

export interface Recipe<T> {
  /** What is computed; watches with equal keys share it. */
  readonly key: string;
  /** Cells of a lower stage are computed first after a change. */
  readonly stage: number;
  /** @param previous the value before the change, or undefined for a client that has none yet. Must not throw. */
  compute(node: NodeFacets, record: (dependency: Dependency) => void, previous: T | undefined, notes: Set<string>): T;
  same(a: T, b: T): boolean;
}

interface Watcher<T> {
  readonly node: NodeFacets;
  readonly onChange: () => void;
  variant: Variant<T> | undefined;
}

/** One value of a cell, for the clients that agree on `paths`. */
interface Variant<T> {
  readonly cell: Cell<T>;
  readonly value: T;
  readonly shape: string;
  readonly valueKey: string;
  readonly dependencies: ReadonlySet<Dependency>;
  readonly watchers: Set<Watcher<T>>;
}

interface Cell<T> {
  readonly recipe: Recipe<T>;
  /** Variants by the set of facets they read, then by the values of those. A lookup costs one probe for each distinct set. */
  readonly shapes: Map<string, { paths: readonly FacetPath[]; variants: Map<string, Variant<T>> }>;
  readonly dirty: Set<Variant<T>>;
  /** What was already logged about it. */
  readonly notes: Set<string>;
}

/** Milliseconds of work before other things get a turn: a change of everything must not block the event loop. */
const slice = 10;

export class ResourceMemo {
  readonly #cells = new Map<string, Cell<unknown>>();
  readonly #dependants = new Map<Dependency, Set<Variant<unknown>>>();
  readonly #dirty: Set<Cell<unknown>>[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  notifications = 0;

  watch<T>(recipe: Recipe<T>, node: NodeFacets, onChange: () => void): Watch<T> {
    const cell = this.#cell(recipe);
    const watcher: Watcher<T> = { node, onChange, variant: undefined };
    this.#refresh(cell);
    this.#assign(cell, watcher, undefined);
    return {
      current: () => {
        if (!watcher.variant) throw new Error(`${recipe.key}: read after close`);
        this.#refresh(cell);
        return watcher.variant.value;
      },
      close: () => {
        const variant = watcher.variant;
        watcher.variant = undefined;
        if (!variant) return;
        variant.watchers.delete(watcher);
        if (variant.watchers.size > 0) return;
        this.#drop(variant);
        if (cell.shapes.size === 0 && cell.dirty.size === 0) this.#cells.delete(recipe.key);
      },
    };
  }

  /** Marks what was made from these as stale; it is computed again on the next turn of the event loop, or when it is read. */
  invalidate(dependencies: Iterable<Dependency>): void {
    for (const dependency of dependencies) {
      for (const variant of this.#dependants.get(dependency) ?? []) {
        const { cell } = variant;
        cell.dirty.add(variant);
        (this.#dirty[cell.recipe.stage] ??= new Set()).add(cell);
      }
    }
    if (this.#dirty.some((cells) => cells.size > 0)) this.#scheduled ??= setImmediate(() => this.#work());
  }

  /** Computes everything that is stale now. */
  flush(): void {
    for (let cell = this.#nextDirty(); cell; cell = this.#nextDirty()) this.#refresh(cell);
  }

  close(): void {
    if (this.#scheduled) clearImmediate(this.#scheduled);
  }

  #work(): void {
    this.#scheduled = undefined;
    const until = performance.now() + slice;
    for (let cell = this.#nextDirty(); cell; cell = this.#nextDirty()) {
      this.#refresh(cell);
      if (performance.now() < until) continue;
      this.#scheduled ??= setImmediate(() => this.#work());
      return;
    }
  }

  #nextDirty(): Cell<unknown> | undefined {
    for (const cells of this.#dirty) for (const cell of cells ?? []) return cell;
    return undefined;
  }

  #cell<T>(recipe: Recipe<T>): Cell<T> {
    let cell = this.#cells.get(recipe.key) as Cell<T> | undefined;
    if (!cell) {
      cell = { recipe, shapes: new Map(), dirty: new Set(), notes: new Set() };
      this.#cells.set(recipe.key, cell as Cell<unknown>);
    }
    return cell;
  }

  #refresh<T>(cell: Cell<T>): void {
    this.#dirty[cell.recipe.stage]?.delete(cell as Cell<unknown>);
    if (cell.dirty.size === 0) return;
    const stale = [...cell.dirty];
    // All stale variants leave before the first is computed: a watcher must not be put on one that is itself stale.
    for (const variant of stale) this.#drop(variant);
    const changed: Watcher<T>[] = [];
    for (const variant of stale) {
      for (const watcher of variant.watchers) {
        const next = this.#assign(cell, watcher, variant.value);
        if (!cell.recipe.same(variant.value, next.value)) changed.push(watcher);
      }
    }
    for (const watcher of changed) {
      if (!watcher.variant) continue;
      this.notifications++;
      watcher.onChange();
    }
  }

  #assign<T>(cell: Cell<T>, watcher: Watcher<T>, previous: T | undefined): Variant<T> {
    const variant = this.#find(cell, watcher.node) ?? this.#compute(cell, watcher.node, previous);
    variant.watchers.add(watcher);
    watcher.variant = variant;
    return variant;
  }

  #find<T>(cell: Cell<T>, node: NodeFacets): Variant<T> | undefined {
    for (const { paths, variants } of cell.shapes.values()) {
      const found = variants.get(valueKeyOf(node, paths));
      if (found) return found;
    }
    return undefined;
  }

  #compute<T>(cell: Cell<T>, node: NodeFacets, previous: T | undefined): Variant<T> {
    const dependencies = new Set<Dependency>();
    const facets = new Set<FacetPath>();
    const view = recordFacets(node, (path) => facets.add(path));
    const value = cell.recipe.compute(view, (dependency) => dependencies.add(dependency), previous, cell.notes);
    const paths = [...facets].sort();
    const shape = paths.join('\n');
    const variant: Variant<T> = { cell, value, shape, valueKey: valueKeyOf(node, paths), dependencies, watchers: new Set() };
    let group = cell.shapes.get(shape);
    if (!group) cell.shapes.set(shape, (group = { paths, variants: new Map() }));
    group.variants.set(variant.valueKey, variant);
    for (const dependency of dependencies) {
      let dependants = this.#dependants.get(dependency);
      if (!dependants) this.#dependants.set(dependency, (dependants = new Set()));
      dependants.add(variant as unknown as Variant<unknown>);
    }
    return variant;
  }

  #drop<T>(variant: Variant<T>): void {
    const { cell, shape, valueKey, dependencies } = variant;
    cell.dirty.delete(variant);
    const group = cell.shapes.get(shape);
    if (group?.variants.get(valueKey) === variant) group.variants.delete(valueKey);
    if (group?.variants.size === 0) cell.shapes.delete(shape);
    for (const dependency of dependencies) {
      const dependants = this.#dependants.get(dependency);
      dependants?.delete(variant as unknown as Variant<unknown>);
      if (dependants?.size === 0) this.#dependants.delete(dependency);
    }
  }
}

function valueKeyOf(node: NodeFacets, paths: readonly FacetPath[]): string {
  return paths.map((path) => facetValue(node, path)).join('\n');
}
