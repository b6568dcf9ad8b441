// Counters and histograms, held by whoever counts: an observation is an addition, not a look-up of labels.

/** A number that only grows, or (as a gauge) is set. */
export class Counter {
  value = 0;

  add(amount = 1): void {
    this.value += amount;
  }

  set(value: number): void {
    this.value = value;
  }
}

export class Histogram {
  readonly bounds: readonly number[];
  /** Per bucket, not cumulative; the last one is +Inf. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (bounds[middle] as number)) high = middle;
      else low = middle + 1;
    }
    counts[low] = (counts[low] as number) + 1;
    this.sum += value;
    this.count++;
  }
}

export type Metric = Counter | Histogram;

export interface FamilyOptions {
  name: string;
  help: string;
  labels: readonly string[];
  /** Label sets beyond this share one series whose labels read `overflow`. Default 10000. */
  maxSeries?: number;
  /** Labels that keep their value in the overflow series, so that sums by them stay true. */
  overflowKeeps?: readonly string[];
}

/** One metric name with its series. */
export class Family<T extends Metric = Metric> {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly #maxSeries: number;
  readonly #keeps: ReadonlySet<string>;
  readonly #create: () => T;
  readonly #series = new Map<string, { values: readonly string[]; metric: T }>();

  constructor(type: Family['type'], options: FamilyOptions, create: () => T) {
    this.type = type;
    this.name = options.name;
    this.help = options.help;
    this.labels = options.labels;
    this.#maxSeries = options.maxSeries ?? 10_000;
    this.#keeps = new Set(options.overflowKeeps);
    this.#create = create;
  }

  /** The series of these label values, in the order of `labels`. Hold it. */
  series(...values: string[]): T {
    const known = this.#series.get(values.join('\u0000'));
    if (known) return known.metric;
    const own = this.#series.size < this.#maxSeries ? values : values.map((value, index) => (this.#keeps.has(this.labels[index] as string) ? value : 'overflow'));
    const key = own.join('\u0000');
    let entry = this.#series.get(key);
    if (!entry) this.#series.set(key, (entry = { values: own, metric: this.#create() }));
    return entry.metric;
  }

  get size(): number {
    return this.#series.size;
  }

  *[Symbol.iterator](): IterableIterator<{ values: readonly string[]; metric: T }> {
    yield* this.#series.values();
  }
}

/** Every metric of one process. */
export class Stats {
  readonly #families = new Map<string, Family>();

  counter(options: FamilyOptions): Family<Counter> {
    return this.#family('counter', options, () => new Counter());
  }

  gauge(options: FamilyOptions): Family<Counter> {
    return this.#family('gauge', options, () => new Counter());
  }

  histogram(options: FamilyOptions & { buckets: readonly number[] }): Family<Histogram> {
    return this.#family('histogram', options, () => new Histogram(options.buckets));
  }

  families(): Iterable<Family> {
    return this.#families.values();
  }

  #family<T extends Metric>(type: Family['type'], options: FamilyOptions, create: () => T): Family<T> {
    const known = this.#families.get(options.name);
    if (known) {
      if (known.type !== type || known.labels.join() !== options.labels.join()) throw new Error(`the metric ${options.name} exists already with another type or other labels`);
      return known as Family<T>;
    }
    const family = new Family<T>(type, options, create);
    this.#families.set(options.name, family as Family);
    return family;
  }
}
