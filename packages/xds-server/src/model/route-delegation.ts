// How the routes of a delegate become routes of the rule that delegates to it: istiod's rules (pilot/pkg/model/virtualservice.go).
import type { Delegation, HttpMatch, HttpRoute, RouteDelegate, StringMatch } from './route-rule.js';

export interface DelegatedRoutes {
  routes: HttpRoute[];
  /** Places of the delegate's routes that want requests which the rule does not hand over: left out. */
  conflicts: number[];
}

export function delegatedRoutes(root: Delegation, delegate: RouteDelegate): DelegatedRoutes {
  const routes: HttpRoute[] = [];
  const conflicts: number[] = [];
  for (const [index, route] of delegate.http.entries()) {
    const matches = mergedMatches(root.matches, route.matches);
    if (matches) routes.push({ ...mergedRoute(root, route, matches), from: `${delegate.origin}: http[${index}]` });
    else conflicts.push(index);
  }
  return { routes, conflicts };
}

/** What the delegate leaves open is taken from the rule, whole blocks of it. */
function mergedRoute(root: Delegation, route: HttpRoute, matches: readonly HttpMatch[]): HttpRoute {
  const { timeoutMs, retries, fault, rewrite, cors } = root;
  const edits = route.requestHeaders || route.responseHeaders ? route : root;
  return {
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(retries && { retries }),
    ...(fault && { fault }),
    // A redirect or an answer of the delegate's own has nothing to rewrite.
    ...(rewrite && route.action.kind === 'route' && { rewrite }),
    ...(cors && { cors }),
    ...route,
    ...(edits.requestHeaders && { requestHeaders: edits.requestHeaders }),
    ...(edits.responseHeaders && { responseHeaders: edits.responseHeaders }),
    mirrors: route.mirrors.length > 0 ? route.mirrors : root.mirrors,
    name: joined(root.name, route.name),
    matches,
  };
}

/** Undefined where one of the delegate's matches is within none of the rule's. */
function mergedMatches(roots: readonly HttpMatch[], leaves: readonly HttpMatch[]): readonly HttpMatch[] | undefined {
  if (roots.length === 0) return leaves;
  if (leaves.length === 0) return roots;
  const merged: HttpMatch[] = [];
  for (const leaf of leaves) {
    const within = roots.filter((root) => contains(root, leaf));
    if (within.length === 0) return undefined;
    merged.push(...within.map((root) => mergedMatch(root, leaf)));
  }
  return merged;
}

function mergedMatch(root: HttpMatch, leaf: HttpMatch): HttpMatch {
  return {
    ...root,
    ...leaf,
    name: joined(root.name, leaf.name),
    headers: narrowed(root.headers, leaf.headers),
    // Each excludes something: both hold.
    withoutHeaders: [...root.withoutHeaders, ...leaf.withoutHeaders],
    queryParams: narrowed(root.queryParams, leaf.queryParams),
    sourceLabels: { ...root.sourceLabels, ...leaf.sourceLabels },
  };
}

type NamedMatches = HttpMatch['headers'];

/** The delegate's, which is the narrower, where both name one. */
function narrowed(roots: NamedMatches, leaves: NamedMatches): NamedMatches {
  return [...roots.filter(({ name }) => !leaves.some((leaf) => leaf.name === name)), ...leaves];
}

/** Whether everything the leaf matches could be matched by the root, as far as istiod looks. */
function contains(root: HttpMatch, leaf: HttpMatch): boolean {
  if (root.ignoreUriCase !== leaf.ignoreUriCase) return false;
  if (root.port !== undefined && leaf.port !== undefined && root.port !== leaf.port) return false;
  if (root.sourceNamespace !== undefined && leaf.sourceNamespace !== undefined && root.sourceNamespace !== leaf.sourceNamespace) return false;
  if (Object.entries(leaf.sourceLabels).some(([name, value]) => (root.sourceLabels[name] ?? value) !== value)) return false;
  if ((['uri', 'scheme', 'method', 'authority'] as const).some((part) => !within(root[part], leaf[part]))) return false;
  return (['headers', 'queryParams'] as const).every((part) =>
    leaf[part].every(({ name, match }) => within(root[part].find((other) => other.name === name)?.match, match)));
}

/** Two regular expressions cannot be compared, nor one with anything else; nor does istiod compare presence. */
function within(root: StringMatch | undefined, leaf: StringMatch | undefined): boolean {
  if (root === undefined || leaf === undefined) return true;
  if (leaf.kind !== 'exact' && leaf.kind !== 'prefix') return false;
  if (root.kind === 'exact') return leaf.kind === 'exact' && leaf.value === root.value;
  return root.kind === 'prefix' && leaf.value.startsWith(root.value);
}

function joined(root: string, leaf: string): string {
  return [root, leaf].filter(Boolean).join('-');
}
