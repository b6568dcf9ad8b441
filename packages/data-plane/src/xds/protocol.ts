// The part that delta and state-of-the-world differ in: what is said on the stream. One object per stream.
import type { Message } from '@weft/xds-api/protobuf';

export type AdsProtocol = 'delta' | 'sotw';

/** A response in the terms both protocols share. */
export interface DiscoveryUpdate {
  readonly typeUrl: string;
  readonly nonce: string;
  /** Of the type as a whole (SotW). */
  readonly version: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
  /** Whether a subscribed resource that is not among `resources` is gone: state of the world of LDS and CDS. */
  readonly complete: boolean;
}

export interface ReceivedResource {
  /** Empty where the resource itself must say it (SotW without wrapper). */
  readonly name: string;
  readonly version: string;
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** What the client holds of a type when a stream starts. */
export interface HeldType {
  readonly typeUrl: string;
  readonly fullState: boolean;
  /** SotW: version of the last response that was accepted. */
  readonly version: string;
  /** Names wanted, with the version of the good resource or ''. */
  readonly names: ReadonlyMap<string, string>;
}

export interface StreamProtocol {
  readonly kind: AdsProtocol;
  /** The request that tells the server what has changed in what we want; undefined where nothing has. */
  subscribe(held: HeldType): Message | undefined;
  read(message: Message): DiscoveryUpdate;
  /** ACK, or NACK where there is an error. */
  acknowledge(update: DiscoveryUpdate, accepted: boolean, error: string | undefined): Message;
}

/** gRPC's code for a NACK; servers look only at its presence. */
export function invalidArgument(message: string): { code: number; message: string } {
  return { code: 3, message };
}
