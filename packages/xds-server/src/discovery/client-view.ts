// Open streams as plain data: for the admin API and CSDS.
import { toJson, fromBinary, type JsonValue } from '@weft/xds-api/protobuf';
import { allTypes } from '@weft/xds-api/registry';
import type { ProfileName, ResourceType } from '../generate/generator.js';
import type { EncodedResource } from '../generate/resource-graph-encoded.js';
import type { ClientStream } from './client-stream.js';
import { absent, type Entry, type TypeSubscription } from './subscription.js';

/** `pending`: not sent yet. `sent`: not answered yet. `absent`: the client was told that it does not exist. */
export type SyncStatus = 'pending' | 'sent' | 'acked' | 'nacked' | 'absent';

export interface SubscribedResource {
  name: string;
  status: SyncStatus;
  /** What was sent last; empty where nothing was. */
  version: string;
  /** What the client accepted last, where it is not the same. */
  ackedVersion?: string;
  reason?: string;
}

export interface ClientView {
  node: string;
  /** Unique among the streams of this control plane's life. */
  stream: number;
  /** SPIFFE ID; absent for unauthenticated observers. */
  identity?: string;
  certificate?: { serialNumber: string; issuer: string; notAfter: string };
  profile: ProfileName | 'unknown';
  protocol: 'sotw' | 'delta';
  peer: string;
  namespace: string;
  workload: string;
  userAgent: string;
  connectedSince: string;
  subscriptions: { type: string; wildcard: boolean; rejected?: { reason: string; at: string }; resources: SubscribedResource[] }[];
}

export function viewClient(stream: ClientStream<never>): ClientView {
  const { node, facets, caller } = stream;
  return {
    node: node?.id ?? '',
    stream: stream.number,
    ...(caller && { identity: caller.spiffeId, certificate: { ...caller.certificate, notAfter: new Date(caller.notAfter).toISOString() } }),
    profile: node?.profile ?? 'unknown',
    protocol: stream.protocol.name,
    peer: stream.peer,
    namespace: facets?.namespace ?? '',
    workload: facets?.workload ?? '',
    userAgent: node ? `${node.userAgent} ${node.userAgentVersion}`.trim() : '',
    connectedSince: new Date(stream.since).toISOString(),
    subscriptions: [...stream.subscriptions.values()].map((subscription) => ({
      type: subscription.type ?? subscription.typeUrl,
      wildcard: subscription.wildcard,
      ...(subscription.rejected && { rejected: { reason: subscription.rejected.reason, at: new Date(subscription.rejected.at).toISOString() } }),
      resources: [...subscription.entries.values()].map(viewEntry),
    })),
  };
}

export function viewEntry(entry: Entry): SubscribedResource {
  const { name, sent, acked, nack } = entry;
  const status = syncStatus(entry);
  return {
    name,
    status,
    version: sent ?? '',
    ...(acked && acked !== sent && { ackedVersion: acked }),
    ...(nack && { reason: nack.reason }),
  };
}

function syncStatus({ sent, acked, nack }: Entry): SyncStatus {
  if (sent === undefined) return 'pending';
  if (nack?.version === sent) return 'nacked';
  if (sent === absent) return 'absent';
  return acked === sent ? 'acked' : 'sent';
}

export interface ResourceView {
  type: ResourceType;
  name: string;
  version: string;
  /** Canonical JSON; left out for secrets, which may hold keys, and for what is no known message. */
  resource?: JsonValue;
}

/** What a client is subscribed to and what that is now. */
export function viewResources(stream: ClientStream<never>, filter: { type?: string; name?: string } = {}): ResourceView[] {
  return [...stream.subscriptions.values()].flatMap((subscription) => {
    const { type } = subscription;
    if (!type || (filter.type !== undefined && filter.type !== type)) return [];
    return present(subscription)
      .filter(({ name }) => filter.name === undefined || filter.name === name)
      .map((resource) => {
        const json = type === 'secret' ? undefined : jsonOf(resource);
        return { type, name: resource.name, version: resource.version, ...(json !== undefined && { resource: json }) };
      });
  });
}

function present(subscription: TypeSubscription): EncodedResource[] {
  return [...subscription.entries.values()].map((entry) => subscription.current(entry)).filter((resource) => resource !== undefined);
}

function jsonOf({ typeUrl, value }: EncodedResource): JsonValue | undefined {
  const schema = allTypes().getMessage(typeUrl.slice(typeUrl.lastIndexOf('/') + 1));
  if (!schema) return undefined;
  try {
    return toJson(schema, fromBinary(schema, value), { registry: allTypes() });
  } catch {
    // A raw resource may hold anything; the client will reject it with its own words.
    return undefined;
  }
}
