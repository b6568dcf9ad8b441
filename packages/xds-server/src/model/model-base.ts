/** What all model objects share. */
export interface ModelBase {
  /** Unique among objects of its type: usually `namespace/name` with a prefix of the front end's choice. */
  key: string;
  namespace: string;
  name: string;
  /** For messages and `weft generate`: `VirtualService default/payments`. */
  origin: string;
  /** Milliseconds since the epoch; see `byAge`. */
  createdAt: number;
}

/** Istio's order where the first of several wins: creation time, then name, then namespace. */
export function byAge(a: ModelBase, b: ModelBase): number {
  return a.createdAt - b.createdAt || compare(a.name, b.name) || compare(a.namespace, b.namespace);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether every label of the selector is present with its value. An empty selector selects everything. */
export function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  for (const name in selector) if (labels[name] !== selector[name]) return false;
  return true;
}
