// Different strings that mean the same to the application.
import type { RouterSpelling } from '../../stream/stream-info.js';

/** Every spelling of a path that the router serves with the same handler, except upper and lower case. */
export function pathSpellings(path: string, router: RouterSpelling): readonly string[] {
  // Every path rule of every policy asks for the same request.
  if (path !== last.path || router !== last.router) last = { path, router, spellings: spell(path, router) };
  return last.spellings;
}

let last: { readonly path: string; readonly router: RouterSpelling | undefined; readonly spellings: readonly string[] } = { path: '', router: undefined, spellings: [] };

function spell(path: string, { strict, decodes }: RouterSpelling): string[] {
  const spellings = [path];
  if (decodes && path.includes('%')) {
    const decoded = decode(path);
    if (decoded !== undefined && decoded !== path) spellings.push(decoded);
  }
  // Some routers read `//` as `/`; where the configuration merges slashes there is none left.
  if (path.includes('//')) spellings.push(path.replace(/\/{2,}/g, '/'));
  if (strict) return spellings;
  for (let i = spellings.length - 1; i >= 0; i--) {
    const spelling = spellings[i] as string;
    spellings.push(spelling.length > 1 && spelling.endsWith('/') ? spelling.slice(0, -1) : `${spelling}/`);
  }
  return spellings;
}

/** With and without port and trailing dot, in lower case (Istio GHSA-7774-7vr3-cc8j and its rules for ports). */
export function authoritySpellings(authority: string): string[] {
  const lower = authority.toLowerCase();
  const port = /:\d*$/.exec(lower);
  const host = port ? lower.slice(0, port.index) : lower;
  const plain = host.endsWith('.') ? host.slice(0, -1) : host;
  return [...new Set([lower, host, plain, `${plain}${port?.[0] ?? ''}`])];
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
