import { watch, type FSWatcher } from 'node:fs';
import type { Logger } from '@weft/spiffe';
import type { Folders } from './file-tree.js';

/** Watches a changing set of folders, each for itself: recursive watching misses links on Linux. */
export class FolderWatch {
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #changed: () => void;
  readonly #logger: Logger;
  #refused = false;

  constructor(changed: () => void, logger: Logger) {
    this.#changed = changed;
    this.#logger = logger;
  }

  follow(folders: Folders): void {
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const [folder, only] of folders) if (!this.#watchers.has(folder)) this.#watch(folder, only);
  }

  close(): void {
    this.follow(new Map());
  }

  #watch(folder: string, only: string | undefined): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (only === undefined || name === null || name === only) this.#changed();
      });
      watcher.on('error', (error) => this.#lost(folder, error));
      this.#watchers.set(folder, watcher);
    } catch (error) {
      this.#lost(folder, error as Error);
    }
  }

  /** Out of inotify watches, or the folder is gone: the slow poll still sees changes. */
  #lost(folder: string, error: Error): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
    if (!this.#refused) this.#logger.warn({ folder, err: error }, 'a configuration folder cannot be watched; it is read from time to time instead');
    this.#refused = true;
  }
}
