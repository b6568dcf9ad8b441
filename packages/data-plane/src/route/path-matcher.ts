import type { RouteMatchConfig } from '../resource/route-config.js';
import { compileRegex, type StringPredicate } from './regex.js';
import { compileUriTemplate } from './uri-template.js';

/** A test of the path without query and fragment. Throws where a pattern is invalid. */
export function compilePathMatcher(path: RouteMatchConfig['path']): StringPredicate {
  switch (path.kind) {
    case 'regex': return compileRegex(path.value);
    case 'uri-template': return compileUriTemplate(path.value);
    // Not a matter of the path: route-match.ts looks at the method.
    case 'connect': return () => true;
  }
  const fold = !path.caseSensitive;
  const value = fold ? path.value.toLowerCase() : path.value;
  const test = compare(path.kind, value);
  return fold ? (candidate) => test(candidate.toLowerCase()) : test;
}

function compare(kind: 'prefix' | 'exact' | 'path-separated-prefix', value: string): StringPredicate {
  switch (kind) {
    case 'exact': return (path) => path === value;
    case 'prefix': return value === '' || value === '/' ? anyPath(value) : (path) => path.startsWith(value);
    case 'path-separated-prefix': {
      // Envoy rejects both: `/` would match only itself, and a query or fragment is never part of what is compared.
      if (!value.startsWith('/') || value.endsWith('/') || /[?#]/.test(value)) throw new Error(`not a path-separated prefix (it starts with /, does not end with /): ${value}`);
      return (path) => path.startsWith(value) && (path.length === value.length || path.charCodeAt(value.length) === 47);
    }
  }
}

/** `/` still rejects what is not a path, such as the `*` of OPTIONS. */
function anyPath(value: string): StringPredicate {
  return value === '' ? () => true : (path) => path.charCodeAt(0) === 47;
}
