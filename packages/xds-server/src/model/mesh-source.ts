// How the model is changed and watched; MeshModel implements it. Sources write, the resource graph watches.
import type { ChangeSet, Dependency } from './change-set.js';
import type { MeshReader } from './mesh-reader.js';
import type { ModelObject } from './model-object.js';

export interface MeshSource {
  /** A view that reports every dependency it reads. */
  reader(record: (dependency: Dependency) => void): MeshReader;
  /**
   * Replaces all objects of one owner (a config object's key, a registration) at once. Objects equal to the present
   * ones change nothing. Changes made in one `batch` reach watchers as one change set.
   */
  replace(owner: string, objects: readonly ModelObject[]): void;
  batch(run: () => void): void;
  onChange(watcher: (change: ChangeSet) => void): () => void;
  readonly revision: number;
}
