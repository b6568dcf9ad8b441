// From what the application dials to a request head.
import { stringify } from 'node:querystring';
import { HeaderMap, type HeaderInput, type RequestHead } from '@weft/data-plane/internal';

export interface Target {
  readonly scheme: 'http' | 'https';
  /** Host and port as they were dialled; the scheme's default port is never written. */
  readonly authority: string;
  /** With query, without fragment. */
  readonly path: string;
}

// Parsing costs as much as a fifth of a whole request, and applications dial the same few things.
const remembered = new Map<string, Target>();

/** @throws TypeError where it is no http: or https: URL. */
export function parseTarget(url: string | URL): Target {
  const text = typeof url === 'string' ? url : url.href;
  const known = remembered.get(text);
  if (known) return known;
  const parsed = new URL(text);
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') throw new TypeError(`only http: and https: can be requested, not ${parsed.protocol}`);
  const target: Target = Object.freeze({ scheme: parsed.protocol === 'https:' ? 'https' : 'http', authority: parsed.host, path: parsed.pathname + parsed.search });
  if (remembered.size >= 512) remembered.clear();
  if (text.length <= 512) remembered.set(text, target);
  return target;
}

/** A `host` header of the caller's own is what it means by the authority. */
export function requestHead(target: Pick<Target, 'scheme' | 'authority'>, method: string, path: string, input: unknown, upgrade?: string): RequestHead {
  const headers = HeaderMap.from(input as HeaderInput | undefined | null);
  const host = headers.get('host');
  if (host !== undefined) headers.remove('host');
  if (upgrade === undefined) return { protocol: 'http', method, scheme: target.scheme, authority: host ?? target.authority, path, headers };
  // Routes and filters may ask for them.
  headers.set('connection', 'Upgrade');
  headers.set('upgrade', upgrade);
  return { protocol: 'http', method, scheme: target.scheme, authority: host ?? target.authority, path, headers, upgrade };
}

/** undici's `query` option. */
export function withQuery(path: string, query: Readonly<Record<string, unknown>> | null | undefined): string {
  if (!query) return path;
  if (path.includes('?') || path.includes('#')) throw new TypeError('a query cannot be added to a path that has one already');
  const text = stringify(query as Record<string, string>);
  return text === '' ? path : `${path}?${text}`;
}
