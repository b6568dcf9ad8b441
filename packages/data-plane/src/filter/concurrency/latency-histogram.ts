/** Latencies in buckets 5 % apart, from 0.1 ms on, that can be made to forget: quantiles of the recent past for one addition a sample. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(buckets);
  #count = 0;
  #sum = 0;

  /** After `fade`, a part of a sample counts as one too. */
  get count(): number {
    return this.#count;
  }

  get mean(): number {
    return this.#sum / this.#count;
  }

  add(ms: number): void {
    const bucket = Math.min(buckets - 1, Math.max(0, Math.ceil(Math.log(Math.max(ms, smallest) / smallest) / step)));
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count++;
    this.#sum += ms;
  }

  /** Upper bound of the bucket that holds the quantile; NaN where there is nothing. */
  quantile(share: number): number {
    if (this.#count === 0) return NaN;
    let left = share * this.#count;
    for (let i = 0; i < buckets; i++) {
      left -= this.#counts[i] as number;
      if (left <= 1e-9) return smallest * Math.exp(i * step);
    }
    return smallest * Math.exp((buckets - 1) * step);
  }

  /** Everything so far counts for this share of what it did. */
  fade(share: number): void {
    for (let i = 0; i < buckets; i++) this.#counts[i] = (this.#counts[i] as number) * share;
    this.#count *= share;
    this.#sum *= share;
  }
}

const smallest = 0.1;
const step = Math.log(1.05);
/** Up to half an hour. */
const buckets = 340;
