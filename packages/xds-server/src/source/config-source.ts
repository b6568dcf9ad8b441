// Where configuration comes from: files, Kubernetes, Consul, etcd, workloads that register themselves.
import type { ConfigObject, ConfigProblem } from '../config/config-object.js';

export interface ConfigSource {
  readonly name: string;
  /**
   * Starts delivering. Resolves once the first complete state has been delivered; rejects where there can be none.
   * Afterwards `sink.replace` is called with the full state whenever it changes.
   */
  start(sink: ConfigSink): Promise<void>;
  close(): Promise<void> | void;
}

export interface ConfigSink {
  /**
   * The complete present state of one part of the source (for files: one file), and what could not be read in it.
   * Objects of that part which are missing from the list are gone, unless it is `incomplete`. A part that could not be
   * read at all is reported with `unreadable` and keeps its last good objects.
   */
  replace(part: string, objects: readonly ConfigObject[], problems: readonly ConfigProblem[], options?: PartOptions): void;
  unreadable(part: string, problems: readonly ConfigProblem[]): void;
  remove(part: string): void;
}

export interface PartOptions {
  /** Something in the part could not be read, or may not be written yet: objects missing from the list stay as they are. */
  incomplete?: boolean;
  /** Among parts of one source that hold the same object, the lowest wins; then the part's name decides. Default 0. */
  order?: number;
}
