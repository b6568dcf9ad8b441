import { byAge, type ModelBase } from './model-base.js';

/** Istio's order, with the key last so that it is total. */
export function byAgeAndKey(a: ModelBase, b: ModelBase): number {
  return byAge(a, b) || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

/** Objects by a string, each group in the order in which the first of several wins. */
export class AgeOrderedGroups<T extends ModelBase> {
  readonly #groups = new Map<string, T[]>();
  readonly #compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number = byAgeAndKey) {
    this.#compare = compare;
  }

  get(group: string): readonly T[] {
    return this.#groups.get(group) ?? [];
  }

  keys(): string[] {
    return [...this.#groups.keys()];
  }

  add(group: string, object: T): void {
    const list = this.#groups.get(group);
    if (!list) this.#groups.set(group, [object]);
    else {
      const at = list.findIndex((other) => this.#compare(object, other) < 0);
      list.splice(at < 0 ? list.length : at, 0, object);
    }
  }

  delete(group: string, object: T): void {
    const list = this.#groups.get(group);
    const at = list?.indexOf(object) ?? -1;
    if (at >= 0) list?.splice(at, 1);
    if (list?.length === 0) this.#groups.delete(group);
  }
}
