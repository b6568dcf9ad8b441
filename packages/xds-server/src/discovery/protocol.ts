import type { Node } from '@weft/xds-api/core';
import type { Contents, TypeSubscription } from './subscription.js';

/** What both kinds of requests have in common. */
export interface RequestHead {
  readonly node?: Node | undefined;
  readonly typeUrl: string;
  readonly responseNonce: string;
  readonly errorDetail?: { readonly message: string } | undefined;
}

/**
 * Additions go out in dependency order (clusters before the routes that use them), then removals in reverse order: at no moment
 * may a client hold a route to a cluster it does not have.
 */
export type Phase = 'update' | 'remove';

/** Bytes after which the rest goes into a further response: clients refuse messages beyond 4 MiB unless told otherwise. */
export const responseLimit = 2 * 1024 * 1024;

export interface Response {
  /** The encoded message in pieces. */
  readonly chunks: readonly Uint8Array[];
  readonly contents: Contents;
}

/** How requests change a subscription and how responses are written: state of the world, or delta. */
export interface Protocol<Request extends RequestHead> {
  readonly name: 'sotw' | 'delta';
  /** @param first of this type on the stream. */
  apply(request: Request, subscription: TypeSubscription, first: boolean): void;
  /** Takes what is due out of the subscription, or returns undefined where nothing is. */
  respond(subscription: TypeSubscription, phase: Phase, nonce: string): Response | undefined;
}
