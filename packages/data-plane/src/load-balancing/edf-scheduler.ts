// Earliest deadline first: entries come in proportion to their weights, evenly spread (Envoy's EdfScheduler). Every pick
// moves the entry's deadline on by 1/weight; of equal deadlines the one inserted first comes first.

/** An entry's tag is its order of insertion times this, plus the index of its value: one number to compare, one to move. */
const indexes = 2 ** 20;

/** A binary heap in flat arrays, for the pick stands in every request: an object an entry costs several times as much at a thousand hosts. */
export class EdfScheduler<T> {
  readonly #values: readonly T[];
  readonly #weight: (value: T) => number;
  /** By place in the heap. */
  readonly #deadlines: Float64Array;
  readonly #tags: Float64Array;
  #order: number;

  /** `weight` is asked again at every pick, so that it may change with load. It must be above zero. */
  constructor(values: readonly T[], weight: (value: T) => number) {
    const { length } = values;
    if (length > indexes) throw new RangeError(`${length} entries are more than ${indexes}`);
    this.#values = values;
    this.#weight = weight;
    this.#deadlines = new Float64Array(length);
    this.#tags = new Float64Array(length);
    this.#order = length;
    for (let i = 0; i < length; i++) this.#insert(i, 1 / weight(values[i] as T));
  }

  pick(): T | undefined {
    const { length } = this.#values;
    if (length === 0) return undefined;
    const tag = this.#tags[0] as number;
    const index = tag - Math.floor(tag / indexes) * indexes;
    const value = this.#values[index] as T;
    this.#putBack((this.#deadlines[0] as number) + 1 / this.#weight(value), this.#order++ * indexes + index, length);
    return value;
  }

  /** From the end upwards. */
  #insert(index: number, deadline: number): void {
    const deadlines = this.#deadlines;
    const tags = this.#tags;
    let at = index;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      // Whoever is in the heap was inserted before.
      if (!(deadline < (deadlines[parent] as number))) break;
      deadlines[at] = deadlines[parent] as number;
      tags[at] = tags[parent] as number;
      at = parent;
    }
    deadlines[at] = deadline;
    tags[at] = index * indexes + index;
  }

  /** The first entry, with a later deadline, from the top downwards. */
  #putBack(deadline: number, tag: number, length: number): void {
    const deadlines = this.#deadlines;
    const tags = this.#tags;
    let at = 0;
    for (let child = 1; child < length; child = 2 * at + 1) {
      let due = deadlines[child] as number;
      const right = child + 1;
      if (right < length) {
        const other = deadlines[right] as number;
        if (other < due || (other === due && (tags[right] as number) < (tags[child] as number))) {
          child = right;
          due = other;
        }
      }
      // Nobody else has so late an order: of equal deadlines the entry itself comes last.
      if (due > deadline) break;
      deadlines[at] = due;
      tags[at] = tags[child] as number;
      at = child;
    }
    deadlines[at] = deadline;
    tags[at] = tag;
  }
}

/** A scheduler that has already made a random number of picks: many clients that restart together must not all begin with the same host. */
export function startedEdf<T>(values: readonly T[], weight: (value: T) => number, random: () => number): EdfScheduler<T> {
  const scheduler = new EdfScheduler(values, weight);
  for (let skip = Math.floor(random() * values.length); skip > 0; skip--) scheduler.pick();
  return scheduler;
}
