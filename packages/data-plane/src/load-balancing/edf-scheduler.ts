// Earliest deadline first: entries come in proportion to their weights, evenly spread (Envoy's EdfScheduler). Every pick
// moves the entry's deadline on by 1/weight; of equal deadlines the one inserted first comes first.

interface Entry<T> {
  deadline: number;
  order: number;
  readonly value: T;
}

export class EdfScheduler<T> {
  readonly #heap: Entry<T>[] = [];
  readonly #weight: (value: T) => number;
  #now = 0;
  #order = 0;

  /** `weight` is asked again at every pick, so that it may change with load. It must be above zero. */
  constructor(values: readonly T[], weight: (value: T) => number) {
    this.#weight = weight;
    for (const value of values) {
      this.#heap.push({ deadline: 1 / weight(value), order: this.#order++, value });
      this.#siftUp(this.#heap.length - 1);
    }
  }

  pick(): T | undefined {
    const first = this.#heap[0];
    if (first === undefined) return undefined;
    this.#now = first.deadline;
    first.deadline = this.#now + 1 / this.#weight(first.value);
    first.order = this.#order++;
    this.#siftDown();
    return first.value;
  }

  #siftUp(index: number): void {
    const heap = this.#heap;
    const entry = heap[index] as Entry<T>;
    let at = index;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent] as Entry<T>)) break;
      heap[at] = heap[parent] as Entry<T>;
      at = parent;
    }
    heap[at] = entry;
  }

  #siftDown(): void {
    const heap = this.#heap;
    const entry = heap[0] as Entry<T>;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Entry<T>, heap[child] as Entry<T>)) child++;
      if (!before(heap[child] as Entry<T>, entry)) break;
      heap[at] = heap[child] as Entry<T>;
      at = child;
    }
    heap[at] = entry;
  }
}

function before(a: Entry<unknown>, b: Entry<unknown>): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order);
}

/** A scheduler that has already made a random number of picks: many clients that restart together must not all begin with the same host. */
export function startedEdf<T>(values: readonly T[], weight: (value: T) => number, random: () => number): EdfScheduler<T> {
  const scheduler = new EdfScheduler(values, weight);
  for (let skip = Math.floor(random() * values.length); skip > 0; skip--) scheduler.pick();
  return scheduler;
}
