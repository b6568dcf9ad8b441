/** How many requests of the last seconds succeeded, by buckets of one second. */
export class SuccessWindow {
  readonly seconds: number;
  readonly #now: () => number;
  readonly #buckets: { second: number; total: number; successes: number }[] = [];
  #total = 0;
  #successes = 0;

  /** `now`: milliseconds. */
  constructor(seconds: number, now: () => number) {
    this.seconds = seconds;
    this.#now = now;
  }

  record(success: boolean): void {
    const second = this.#forget();
    let bucket = this.#buckets.at(-1);
    if (bucket?.second !== second) this.#buckets.push((bucket = { second, total: 0, successes: 0 }));
    bucket.total++;
    this.#total++;
    if (!success) return;
    bucket.successes++;
    this.#successes++;
  }

  counts(): { total: number; successes: number } {
    this.#forget();
    return { total: this.#total, successes: this.#successes };
  }

  #forget(): number {
    const second = Math.floor(this.#now() / 1000);
    for (let first = this.#buckets[0]; first && first.second <= second - this.seconds; first = this.#buckets[0]) {
      this.#total -= first.total;
      this.#successes -= first.successes;
      this.#buckets.shift();
    }
    return second;
  }
}
