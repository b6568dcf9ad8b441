// The x-envoy-* headers by which a caller steers its own request. They are believed: the caller is our own process, what Envoy calls an
// internal request. (At servers, strangers' are gone before anything reads them: inbound/sanitize.ts.)
import type { HeaderMap } from '../stream/header-map.js';

/** One pass over the names, so that the many requests without any pay for no look-up. */
export function hasControlHeaders({ raw }: HeaderMap): boolean {
  for (let i = 0; i < raw.length; i += 2) if ((raw[i] as string).startsWith('x-envoy-')) return true;
  return false;
}

/** Reads and removes it. */
export function take(headers: HeaderMap, name: string): string | undefined {
  const text = headers.get(name);
  if (text !== undefined) headers.remove(name);
  return text;
}

/** Undefined where it is no number. */
export function takeNumber(headers: HeaderMap, name: string): number | undefined {
  const text = take(headers, name);
  return text !== undefined && /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : undefined;
}

/** The parts of a list, trimmed. */
export function takeList(headers: HeaderMap, name: string): string[] {
  const text = headers.joined(name);
  if (text === undefined) return [];
  headers.remove(name);
  return text.split(',').map((part) => part.trim()).filter((part) => part !== '');
}
