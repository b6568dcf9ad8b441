// The override_host policy: a filter, or the caller, names the hosts that attempts are to go to, one after the other.
import type { OverrideHostSource } from '../resource/balancing-config.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';

/** Addresses that are still to be tried, in order. */
export interface HostCandidates {
  next(): string | undefined;
}

/** Those that all sources name. Undefined where there are none. */
export function hostCandidates(sources: readonly OverrideHostSource[], head: RequestHead, info: StreamInfo): HostCandidates | undefined {
  const addresses = sources.flatMap((source) => valueOf(source, head, info)?.split(',').map((address) => address.trim()).filter((address) => address !== '') ?? []);
  if (addresses.length === 0) return undefined;
  let at = 0;
  return { next: () => addresses[at++] };
}

function valueOf(source: OverrideHostSource, head: RequestHead, info: StreamInfo): string | undefined {
  if (source.kind === 'header') return head.headers.get(source.name);
  let value: unknown = info.metadata?.get(source.key);
  for (const name of source.path) value = typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}
