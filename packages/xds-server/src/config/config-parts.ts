// Which object is in force where several parts of several sources hold one of the same key.
import { objectKey, type ConfigObject, type ConfigProblem } from './config-object.js';

export interface Part {
  name: string;
  /** Position of its source among the sources. */
  rank: number;
  order: number;
  objects: ReadonlyMap<string, ConfigObject>;
  problems: readonly ConfigProblem[];
  /** Whether objects are in force that it did not deliver this time. */
  kept: boolean;
}

export class ConfigParts {
  readonly #parts = new Map<string, Part>();
  readonly #holders = new Map<string, Part[]>();

  get(name: string): Part | undefined {
    return this.#parts.get(name);
  }

  all(): Iterable<Part> {
    return this.#parts.values();
  }

  /** @returns the keys whose winner may have changed. */
  set(part: Part): Set<string> {
    const affected = this.delete(part.name);
    this.#parts.set(part.name, part);
    for (const key of part.objects.keys()) {
      affected.add(key);
      this.#holders.set(key, [...(this.#holders.get(key) ?? []), part].sort(byPrecedence));
    }
    return affected;
  }

  delete(name: string): Set<string> {
    const part = this.#parts.get(name);
    this.#parts.delete(name);
    const affected = new Set(part?.objects.keys());
    for (const key of affected) {
      const rest = this.#holders.get(key)?.filter((other) => other !== part) ?? [];
      if (rest.length > 0) this.#holders.set(key, rest);
      else this.#holders.delete(key);
    }
    return affected;
  }

  /** The parts that hold an object, the one in force first. */
  holders(key: string): readonly Part[] {
    return this.#holders.get(key) ?? [];
  }
}

function byPrecedence(a: Part, b: Part): number {
  return a.rank - b.rank || a.order - b.order || (a.name < b.name ? -1 : 1);
}

/** Objects by key; a key that comes twice keeps its first object and is reported. */
export function byKey(objects: readonly ConfigObject[], report: (object: ConfigObject, first: ConfigObject) => void): Map<string, ConfigObject> {
  const found = new Map<string, ConfigObject>();
  for (const object of objects) {
    const key = objectKey(object);
    const first = found.get(key);
    if (first) report(object, first);
    else found.set(key, object);
  }
  return found;
}
