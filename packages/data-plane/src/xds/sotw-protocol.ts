import { create, fromBinary, type Message } from '@weft/xds-api/protobuf';
import type { Any } from '@weft/xds-api/protobuf/wkt';
import type { Node } from '@weft/xds-api/core';
import { DiscoveryRequestSchema, ResourceSchema, type DiscoveryResponse } from '@weft/xds-api/discovery';
import { invalidArgument, type DiscoveryUpdate, type HeldType, type ReceivedResource, type StreamProtocol } from './protocol.js';

interface TypeState {
  names: readonly string[];
  fullState: boolean;
  /** Of the last response that was accepted. */
  version: string;
  nonce: string;
  /** Of the response being looked at. */
  offered: string;
}

/** State of the world: each request names everything wanted, each LDS and CDS response holds everything that exists. */
export class SotwProtocol implements StreamProtocol {
  readonly kind = 'sotw';
  #node: Node | undefined;
  readonly #types = new Map<string, TypeState>();

  constructor(node: Node) {
    this.#node = node;
  }

  subscribe({ typeUrl, fullState, version, names }: HeldType): Message | undefined {
    const state = this.#types.get(typeUrl);
    const wanted = [...names.keys()];
    if (!state) {
      // An empty first request of LDS or CDS would ask for everything.
      if (wanted.length === 0) return undefined;
      this.#types.set(typeUrl, { names: wanted, fullState, version, nonce: '', offered: '' });
    } else {
      if (wanted.length === state.names.length && state.names.every((name) => names.has(name))) return undefined;
      state.names = wanted;
    }
    return this.#request(typeUrl, undefined);
  }

  read(message: Message): DiscoveryUpdate {
    const { typeUrl, nonce, versionInfo, resources } = message as DiscoveryResponse;
    const state = this.#types.get(typeUrl);
    if (state) {
      state.nonce = nonce;
      state.offered = versionInfo;
    }
    return { typeUrl, nonce, version: versionInfo, resources: resources.map((any) => received(any, versionInfo)), removed: [], complete: state?.fullState ?? false };
  }

  acknowledge({ typeUrl }: DiscoveryUpdate, accepted: boolean, error: string | undefined): Message {
    const state = this.#types.get(typeUrl);
    if (state && accepted) state.version = state.offered;
    return this.#request(typeUrl, error);
  }

  #request(typeUrl: string, error: string | undefined): Message {
    const node = this.#node;
    this.#node = undefined;
    const { names = [], version = '', nonce = '' } = this.#types.get(typeUrl) ?? {};
    return create(DiscoveryRequestSchema, {
      typeUrl,
      resourceNames: [...names],
      versionInfo: version,
      responseNonce: nonce,
      ...(node && { node }),
      ...(error !== undefined && { errorDetail: invalidArgument(error) }),
    });
  }
}

const wrapper = `/${ResourceSchema.typeName}`;

/** Servers may wrap resources to name them (client feature xds.config.resource-in-sotw). */
function received(any: Any, version: string): ReceivedResource {
  if (!any.typeUrl.endsWith(wrapper)) return { name: '', version, typeUrl: any.typeUrl, value: any.value };
  try {
    const { name, resource } = fromBinary(ResourceSchema, any.value);
    return { name, version, typeUrl: resource?.typeUrl ?? '', value: resource?.value ?? new Uint8Array() };
  } catch {
    // Left as it is: its type is not the one asked for, so it is refused as any foreign resource.
    return { name: '', version, typeUrl: any.typeUrl, value: any.value };
  }
}
