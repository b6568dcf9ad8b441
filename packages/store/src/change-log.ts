import { RevisionCompacted, StoreClosed } from './errors.js';
import type { Change, WatchOptions } from './store.js';

interface Watcher {
  readonly prefix: string;
  readonly queue: Change[];
  wake: (() => void) | undefined;
}

/** The recent changes of a store, in order, and everyone who follows them. */
export class ChangeLog {
  readonly #limit: number;
  readonly #changes: Change[] = [];
  readonly #watchers = new Set<Watcher>();
  /** Changes after this revision are known. */
  #oldest: number;
  #closed = false;

  constructor(revision: number, limit = 10_000) {
    this.#oldest = revision;
    this.#limit = limit;
  }

  append(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length > this.#limit * 2) {
      const dropped = this.#changes.splice(0, this.#changes.length - this.#limit);
      this.#oldest = dropped.at(-1)!.revision;
    }
    for (const watcher of this.#watchers) {
      if (!change.key.startsWith(watcher.prefix)) continue;
      watcher.queue.push(change);
      watcher.wake?.();
    }
  }

  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.wake?.();
  }

  /** Follows from the moment of the call, not of the first `next()`: a change between the two would be lost otherwise. */
  watch(prefix: string, { fromRevision, signal }: WatchOptions = {}): AsyncIterable<Change> {
    if (this.#closed) throw new StoreClosed();
    if (fromRevision !== undefined && fromRevision < this.#oldest) throw new RevisionCompacted(fromRevision, this.#oldest);
    const missed = fromRevision === undefined ? [] : this.#changes.filter((change) => change.revision > fromRevision && change.key.startsWith(prefix));
    const watcher: Watcher = { prefix, queue: missed, wake: undefined };
    if (signal?.aborted) return follow(watcher, () => true, () => undefined);
    this.#watchers.add(watcher);
    const wake = () => {
      // Nobody may be iterating any more: an aborted watcher must not collect changes.
      this.#watchers.delete(watcher);
      watcher.wake?.();
    };
    signal?.addEventListener('abort', wake, { once: true });
    return follow(
      watcher,
      () => this.#closed || signal?.aborted === true,
      () => {
        this.#watchers.delete(watcher);
        signal?.removeEventListener('abort', wake);
      },
    );
  }
}

async function* follow(watcher: Watcher, ended: () => boolean, leave: () => void): AsyncGenerator<Change, void, void> {
  try {
    while (!ended()) {
      const change = watcher.queue.shift();
      if (change) yield change;
      else await new Promise<void>((resolve) => (watcher.wake = resolve));
    }
  } finally {
    leave();
  }
}
