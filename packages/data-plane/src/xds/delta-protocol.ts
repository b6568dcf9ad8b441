import { create, type Message } from '@weft/xds-api/protobuf';
import type { Node } from '@weft/xds-api/core';
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse } from '@weft/xds-api/discovery';
import { invalidArgument, type DiscoveryUpdate, type HeldType, type StreamProtocol } from './protocol.js';

/** The incremental variant: only what changes is said, in both directions. */
export class DeltaProtocol implements StreamProtocol {
  readonly kind = 'delta';
  #node: Node | undefined;
  /** By type: what the server believes we want. */
  readonly #sent = new Map<string, Set<string>>();

  constructor(node: Node) {
    this.#node = node;
  }

  subscribe({ typeUrl, names }: HeldType): Message | undefined {
    const sent = this.#sent.get(typeUrl);
    const added = [...names.keys()].filter((name) => !sent?.has(name));
    const removed = sent ? [...sent].filter((name) => !names.has(name)) : [];
    // An empty first request would subscribe to everything (the protocol's old wildcard).
    if (added.length === 0 && removed.length === 0) return undefined;
    this.#sent.set(typeUrl, new Set(names.keys()));
    const initialResourceVersions: Record<string, string> = {};
    if (!sent) for (const [name, version] of names) if (version !== '') initialResourceVersions[name] = version;
    return this.#request({ typeUrl, resourceNamesSubscribe: added, resourceNamesUnsubscribe: removed, initialResourceVersions });
  }

  read(message: Message): DiscoveryUpdate {
    const response = message as DeltaDiscoveryResponse;
    return {
      typeUrl: response.typeUrl,
      nonce: response.nonce,
      version: '',
      resources: response.resources.map(({ name, resourceName, version, resource }) => ({
        name: name || (resourceName?.name ?? ''),
        version,
        typeUrl: resource?.typeUrl ?? '',
        value: resource?.value ?? new Uint8Array(),
      })),
      removed: [...response.removedResources, ...response.removedResourceNames.map(({ name }) => name)],
      complete: false,
    };
  }

  acknowledge({ typeUrl, nonce }: DiscoveryUpdate, _accepted: boolean, error: string | undefined): Message {
    return this.#request({ typeUrl, responseNonce: nonce, ...(error !== undefined && { errorDetail: invalidArgument(error) }) });
  }

  #request(fields: object): Message {
    const node = this.#node;
    this.#node = undefined;
    return create(DeltaDiscoveryRequestSchema, { ...fields, ...(node && { node }) });
  }
}
