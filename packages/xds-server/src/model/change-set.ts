/**
 * A dependency: one narrow fact of the model that a resource was made from (`endpoints/HOST`, `route/HOST`, `mtls/NS`).
 * The model defines the keys; the resource graph only compares them.
 */
export type Dependency = string;

/** What one change of the model may have altered. */
export interface ChangeSet {
  /** Grows by one with every change. */
  revision: number;
  dependencies: ReadonlySet<Dependency>;
}
