// Which facts of a client a generator read. Two clients that agree on exactly those share the resource.
import type { NodeFacets } from './generator.js';

/** `namespace`, `labels:app` (one label), `labels` (all of them), `locality:zone`, … */
export type FacetPath = string;

const nested = new Set<PropertyKey>(['labels', 'locality']);

/** A view of the node that reports each fact as it is read. */
export function recordFacets(node: NodeFacets, record: (path: FacetPath) => void): NodeFacets {
  return new Proxy(node, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof key === 'symbol') return value;
      if (nested.has(key)) return recordParts(value as object, key, record);
      record(key);
      return value;
    },
  });
}

/**
 * Labels are read one by one where a selector is compared, and whole where they are listed: only the latter makes a resource depend
 * on labels nobody selects by, which would split it by every Pod's hash label.
 */
function recordParts(parts: object, path: string, record: (path: FacetPath) => void): object {
  const part = (key: PropertyKey) => {
    if (typeof key === 'string') record(`${path}:${key}`);
  };
  return new Proxy(parts, {
    get(target, key) {
      part(key);
      return Object.hasOwn(target, key) ? (Reflect.get(target, key) as unknown) : undefined;
    },
    has(target, key) {
      part(key);
      return Object.hasOwn(target, key);
    },
    getOwnPropertyDescriptor(target, key) {
      part(key);
      return Reflect.getOwnPropertyDescriptor(target, key);
    },
    ownKeys(target) {
      record(path);
      return Reflect.ownKeys(target);
    },
  });
}

/** The value of one facet as text that is equal exactly when the facet is. */
export function facetValue(node: NodeFacets, path: FacetPath): string {
  const colon = path.indexOf(':');
  if (colon === -1) return canonical(node[path as keyof NodeFacets]);
  const parts = node[path.slice(0, colon) as 'labels' | 'locality'] as Readonly<Record<string, string>>;
  const name = path.slice(colon + 1);
  return Object.hasOwn(parts, name) ? JSON.stringify(parts[name]) : '';
}

export function sameFacets(a: NodeFacets, b: NodeFacets): boolean {
  return (Object.keys(a) as (keyof NodeFacets)[]).every((key) => canonical(a[key]) === canonical(b[key]));
}

function canonical(value: unknown): string {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return JSON.stringify(value) ?? '';
  return JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
