import { create, toBinary } from '@weft/xds-api/protobuf';
import { AnySchema } from '@weft/xds-api/protobuf/wkt';
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from '@weft/xds-api/discovery';
import { createHash } from 'node:crypto';

/**
 * A resource as it goes over the wire, encoded once and shared by all streams. The pieces are whole responses that hold only this
 * resource: messages in protobuf concatenate, so a response is its head followed by the pieces of its resources.
 */
export class EncodedResource {
  readonly name: string;
  readonly typeUrl: string;
  readonly value: Uint8Array;
  /** A hash of the content: equal content has an equal version, also after a restart of the control plane. */
  readonly version: string;
  readonly #onEncode: () => void;
  #sotw: Uint8Array | undefined;
  #delta: Uint8Array | undefined;

  constructor(name: string, typeUrl: string, value: Uint8Array, onEncode: () => void = () => undefined) {
    this.name = name;
    this.typeUrl = typeUrl;
    this.value = value;
    this.version = createHash('sha256').update(typeUrl).update('\n').update(value).digest('hex').slice(0, 16);
    this.#onEncode = onEncode;
  }

  /** For a DiscoveryResponse. */
  get sotw(): Uint8Array {
    return (this.#sotw ??= this.#encode(() => toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { resources: [this.#any()] }))));
  }

  /** For a DeltaDiscoveryResponse. */
  get delta(): Uint8Array {
    return (this.#delta ??= this.#encode(() =>
      toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, { resources: [{ name: this.name, version: this.version, resource: this.#any() }] })),
    ));
  }

  #any() {
    return create(AnySchema, { typeUrl: this.typeUrl, value: this.value });
  }

  #encode(run: () => Uint8Array): Uint8Array {
    this.#onEncode();
    return run();
  }
}
