// The incremental protocol (DeltaAggregatedResources): what Weft's own clients speak, and Envoy on request.
import { create, toBinary } from '@weft/xds-api/protobuf';
import { DeltaDiscoveryResponseSchema, type DeltaDiscoveryRequest } from '@weft/xds-api/discovery';
import { responseLimit, type Protocol } from './protocol.js';
import { absent } from './subscription.js';

export const delta: Protocol<DeltaDiscoveryRequest> = {
  name: 'delta',

  apply(request, subscription, first) {
    const subscribe = new Set(request.resourceNamesSubscribe);
    const unsubscribe = new Set(request.resourceNamesUnsubscribe);
    const known = new Map(Object.entries(request.initialResourceVersions));
    for (const name of unsubscribe) if (name !== '*') subscription.unsubscribe(name);
    if (unsubscribe.has('*')) subscription.unsubscribeWildcard();
    for (const name of subscribe) if (name !== '*' || !subscription.wildcardAllowed) subscription.subscribe(name, known.get(name));
    // Without any name the first request means everything (the wildcard from before there was `*`).
    if ((subscribe.has('*') || (first && subscribe.size === 0)) && subscription.wildcardAllowed) subscription.subscribeWildcard(known);
    // The first request is answered even where the client has everything: it tells it that its subscription arrived.
    if (first) subscription.answerDue = true;
  },

  respond(subscription, phase, nonce) {
    const contents = new Map<string, string>();
    const chunks: Uint8Array[] = [];
    const removedResources: string[] = [];
    let size = 0;
    for (const name of subscription.dirty) {
      const entry = subscription.entries.get(name);
      const need = entry && subscription.need(entry);
      if (!entry || need === undefined) subscription.settle(name);
      if (!entry || need !== phase) continue;
      const resource = subscription.current(entry);
      subscription.markSent(entry, resource);
      contents.set(name, resource?.version ?? absent);
      if (resource) chunks.push(resource.delta);
      else removedResources.push(name);
      size += resource?.delta.length ?? 0;
      // Not for a wildcard: its first response must be complete, Envoy starts serving with what is in it.
      if (size >= responseLimit && !subscription.wildcard) break;
    }
    if (contents.size === 0 && !(phase === 'update' && subscription.answerDue)) return undefined;
    const head = create(DeltaDiscoveryResponseSchema, { typeUrl: subscription.typeUrl, nonce, removedResources, controlPlane: { identifier: 'weft' } });
    return { chunks: [toBinary(DeltaDiscoveryResponseSchema, head), ...chunks], contents };
  },
};
