// Joins between selectors and labels by label pair, so that one workload's change costs what its own labels cost and
// not what the number of services or workloads would.
import { selects } from './model-base.js';

type Labels = Readonly<Record<string, string>>;

/** `counter` counts candidates looked at: tests hold the cost of a lookup by it, not by time. */
abstract class LabelBuckets<T> {
  readonly counter = { candidates: 0 };
  protected readonly buckets = new Map<string, Set<T>>();

  protected put(bucket: string, item: T): void {
    const items = this.buckets.get(bucket);
    if (items) items.add(item);
    else this.buckets.set(bucket, new Set([item]));
  }

  protected take(bucket: string, item: T): void {
    const items = this.buckets.get(bucket);
    items?.delete(item);
    if (items?.size === 0) this.buckets.delete(bucket);
  }

  /** Of the pairs' buckets, the one with the fewest items. */
  protected smallest(namespace: string, labels: Labels): string | undefined {
    let found: string | undefined;
    let size = Infinity;
    for (const name in labels) {
      const bucket = bucketOf(namespace, name, labels[name]!);
      const items = this.buckets.get(bucket)?.size ?? 0;
      if (items < size) [found, size] = [bucket, items];
    }
    return found;
  }
}

function bucketOf(namespace: string, name: string, value: string): string {
  return `${namespace}\0${name}\0${value}`;
}

/** Holds things that select: finds those that match given labels. */
export class SelectorIndex<T extends { namespace: string; selector: Labels }> extends LabelBuckets<T> {
  readonly #bucket = new Map<T, string>();

  add(item: T): void {
    // One bucket is enough, since all pairs must match; the rarest keeps common labels from collecting everything.
    const bucket = this.smallest(item.namespace, item.selector);
    if (bucket === undefined) return;
    this.#bucket.set(item, bucket);
    this.put(bucket, item);
  }

  delete(item: T): void {
    const bucket = this.#bucket.get(item);
    if (bucket === undefined) return;
    this.#bucket.delete(item);
    this.take(bucket, item);
  }

  matching(namespace: string, labels: Labels): T[] {
    const found: T[] = [];
    for (const name in labels) {
      for (const item of this.buckets.get(bucketOf(namespace, name, labels[name]!)) ?? []) {
        this.counter.candidates++;
        if (selects(item.selector, labels)) found.push(item);
      }
    }
    return found;
  }
}

/** Holds things with labels: finds those that a selector matches. An empty selector finds nothing here. */
export class LabelIndex<T extends { namespace: string; labels: Labels }> extends LabelBuckets<T> {
  add(item: T): void {
    for (const name in item.labels) this.put(bucketOf(item.namespace, name, item.labels[name]!), item);
  }

  delete(item: T): void {
    for (const name in item.labels) this.take(bucketOf(item.namespace, name, item.labels[name]!), item);
  }

  selected(namespace: string, selector: Labels): T[] {
    const bucket = this.smallest(namespace, selector);
    const found: T[] = [];
    for (const item of (bucket !== undefined && this.buckets.get(bucket)) || []) {
      this.counter.candidates++;
      if (selects(selector, item.labels)) found.push(item);
    }
    return found;
  }
}
