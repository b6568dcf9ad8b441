// Small choices on top of a seeded random source.
import type { Random } from '../../support/random.js';
import type { JsonObject } from '../model.js';

export class Draw {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  /** `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + this.#random.below(high - low + 1);
  }

  pick<T>(list: readonly T[]): T {
    return this.#random.pick(list);
  }

  /** `low` to `high` items, none twice. */
  some<T>(list: readonly T[], low: number, high: number): T[] {
    const left = [...list];
    const count = Math.min(this.int(low, high), left.length);
    return Array.from({ length: count }, () => left.splice(this.#random.below(left.length), 1)[0]!);
  }

  list<T>(low: number, high: number, make: () => T): T[] {
    return Array.from({ length: this.int(low, high) }, make);
  }

  /** One of the functions' results; `[weight, make]`. */
  of<T>(...choices: readonly (readonly [number, () => T])[]): T {
    let left = this.#random.next() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, make] of choices) if ((left -= weight) < 0) return make();
    return choices.at(-1)![1]();
  }

  /** The fields, or none. */
  maybe(probability: number, make: () => JsonObject): JsonObject {
    return this.chance(probability) ? make() : {};
  }
}
