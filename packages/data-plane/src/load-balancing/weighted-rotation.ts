// The order of an EdfScheduler for weights that do not change. Entries of one weight take turns among themselves: whoever is picked is the
// last of them again. So only the first of each weight has to be compared, and most services have few different weights.

interface Turn {
  /** Indexes of the values that have this weight, and when each of them is due next. */
  readonly indexes: Uint32Array;
  readonly deadlines: Float64Array;
  readonly orders: Float64Array;
  readonly step: number;
  /** Whose turn it is. */
  next: number;
}

export class WeightedRotation<T> {
  readonly #values: readonly T[];
  /** A binary heap by what is due first. */
  readonly #heap: Turn[];
  #order: number;

  /** Weights must be above zero. */
  constructor(values: readonly T[], weight: (value: T) => number) {
    this.#values = values;
    this.#order = values.length;
    const byWeight = new Map<number, number[]>();
    values.forEach((value, index) => {
      const own = weight(value);
      const same = byWeight.get(own);
      if (same) same.push(index);
      else byWeight.set(own, [index]);
    });
    // Heaviest first: they are due first, so that this is a heap.
    this.#heap = [...byWeight].sort(([a], [b]) => b - a).map(([own, indexes]) => ({
      indexes: Uint32Array.from(indexes), deadlines: new Float64Array(indexes.length).fill(1 / own), orders: Float64Array.from(indexes), step: 1 / own, next: 0,
    }));
  }

  pick(): T | undefined {
    const turn = this.#heap[0];
    if (turn === undefined) return undefined;
    const at = turn.next;
    const { indexes, deadlines } = turn;
    deadlines[at] = (deadlines[at] as number) + turn.step;
    turn.orders[at] = this.#order++;
    turn.next = at + 1 === indexes.length ? 0 : at + 1;
    if (this.#heap.length > 1) this.#sink(turn);
    return this.#values[indexes[at] as number];
  }

  #sink(turn: Turn): void {
    const heap = this.#heap;
    const { length } = heap;
    const deadline = turn.deadlines[turn.next] as number;
    const order = turn.orders[turn.next] as number;
    let at = 0;
    for (let child = 1; child < length; child = 2 * at + 1) {
      let first = heap[child] as Turn;
      let due = first.deadlines[first.next] as number;
      if (child + 1 < length) {
        const other = heap[child + 1] as Turn;
        const otherDue = other.deadlines[other.next] as number;
        if (otherDue < due || (otherDue === due && (other.orders[other.next] as number) < (first.orders[first.next] as number))) {
          first = other;
          due = otherDue;
          child++;
        }
      }
      if (due > deadline || (due === deadline && (first.orders[first.next] as number) > order)) break;
      heap[at] = first;
      at = child;
    }
    heap[at] = turn;
  }
}

/** One that has already made a random number of picks, for the same reason as `startedEdf`. */
export function startedRotation<T>(values: readonly T[], weight: (value: T) => number, random: () => number): WeightedRotation<T> {
  const rotation = new WeightedRotation(values, weight);
  for (let skip = Math.floor(random() * values.length); skip > 0; skip--) rotation.pick();
  return rotation;
}
