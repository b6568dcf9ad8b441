// The state-of-the-world protocol (StreamAggregatedResources): what gRPC speaks.
import { create, toBinary } from '@weft/xds-api/protobuf';
import { DiscoveryResponseSchema, type DiscoveryRequest } from '@weft/xds-api/discovery';
import { createHash } from 'node:crypto';
import { responseLimit, type Phase, type Protocol, type Response } from './protocol.js';
import { absent, type TypeSubscription } from './subscription.js';

export const sotw: Protocol<DiscoveryRequest> = {
  name: 'sotw',

  apply(request, subscription, first) {
    // A stale nonce does not make the names stale: they are honoured whatever the nonce (grpc-java re-uses an old one after it
    // unsubscribed from everything), and naming the same twice changes nothing.
    const names = new Set(request.resourceNames);
    const wildcard = names.delete('*') || (names.size === 0 && !subscription.everNamed);
    if (request.resourceNames.length > 0) subscription.everNamed = true;
    if (wildcard && subscription.wildcardAllowed) subscription.subscribeWildcard();
    else subscription.unsubscribeWildcard();
    for (const entry of subscription.entries.values()) if (entry.named && !names.has(entry.name)) subscription.unsubscribe(entry.name);
    for (const name of names) if (!subscription.entries.get(name)?.named) subscription.subscribe(name);
    // A list that became empty needs no answer; a first one does, even where nothing exists: Envoy waits for it.
    if (first) subscription.answerDue = true;
  },

  respond(subscription, phase, nonce) {
    return subscription.fullState ? fullState(subscription, phase, nonce) : partial(subscription, phase, nonce);
  },
};

/**
 * LDS and CDS: everything that exists, in every response. What is gone stays in the responses of the update phase, so that a
 * cluster is deleted only after the routes that led to it changed.
 */
function fullState(subscription: TypeSubscription, phase: Phase, nonce: string): Response | undefined {
  if (!isDue(subscription, phase)) return undefined;
  const contents = new Map<string, string>();
  const chunks: Uint8Array[] = [];
  for (const entry of subscription.entries.values()) {
    const kept = phase === 'update' && subscription.need(entry) === 'remove' ? entry.sentResource : undefined;
    const resource = kept ?? subscription.current(entry);
    if (!kept) subscription.markSent(entry, resource);
    contents.set(entry.name, resource?.version ?? absent);
    if (resource) chunks.push(resource.sotw);
  }
  return { chunks: [head(subscription, nonce, contents), ...chunks], contents };
}

/** RDS, EDS and SDS: only what changed. They cannot say that something is gone; the cluster or listener going says it. */
function partial(subscription: TypeSubscription, phase: Phase, nonce: string): Response | undefined {
  if (!isDue(subscription, phase)) return undefined;
  const contents = new Map<string, string>();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (const name of subscription.dirty) {
    const entry = subscription.entries.get(name);
    if (!entry || subscription.need(entry) !== phase) continue;
    const resource = subscription.current(entry);
    subscription.markSent(entry, resource);
    if (!resource) continue;
    contents.set(name, resource.version);
    chunks.push(resource.sotw);
    size += resource.sotw.length;
    if (size >= responseLimit) break;
  }
  if (phase === 'remove') return undefined;
  return { chunks: [head(subscription, nonce, contents), ...chunks], contents };
}

function isDue(subscription: TypeSubscription, phase: Phase): boolean {
  let due = phase === 'update' && subscription.answerDue;
  for (const name of subscription.dirty) {
    const entry = subscription.entries.get(name);
    const need = entry && subscription.need(entry);
    if (need === undefined) subscription.settle(name);
    else if (need === phase) due = true;
  }
  return due;
}

function head(subscription: TypeSubscription, nonce: string, contents: ReadonlyMap<string, string>): Uint8Array {
  const hash = createHash('sha256');
  for (const [name, version] of contents) hash.update(`${name}\n${version}\n`);
  const versionInfo = hash.digest('hex').slice(0, 16);
  return toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { versionInfo, typeUrl: subscription.typeUrl, nonce, controlPlane: { identifier: 'weft' } }));
}
