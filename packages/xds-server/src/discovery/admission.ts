// How much of the control plane one caller, and all of them together, may take.
import { status } from '@grpc/grpc-js';
import { StreamRefused } from './node-auth.js';

export interface StreamLimits {
  /** Open streams. Default 20 000. */
  readonly streams: number;
  /** Open streams of one identity; of one address on the plain text port. Default 5000. */
  readonly streamsPerCaller: number;
  /** Names that one stream of a client with wildcards (Envoy) may subscribe to. Default 100 000. */
  readonly names: number;
  /**
   * The same for clients that name what they dial, about four names a service: each that does not exist costs some 6 kB of memory.
   * Default 10 000.
   */
  readonly namesWithoutWildcard: number;
  /** How long a stream may stay silent before its first request, milliseconds. Default 15 000. */
  readonly silentMs: number;
  /**
   * After how long, give or take a tenth, a stream is ended so that its client connects anew (to another replica, say),
   * milliseconds. Default: only with its certificate.
   */
  readonly maxAgeMs?: number;
}

export const defaultLimits: StreamLimits = { streams: 20_000, streamsPerCaller: 5000, names: 100_000, namesWithoutWildcard: 10_000, silentMs: 15_000 };

export class Admission {
  readonly limits: StreamLimits;
  readonly #open = new Map<string, number>();
  #total = 0;

  constructor(limits: StreamLimits) {
    this.limits = limits;
  }

  /** @returns gives the place back. @throws {@link StreamRefused} RESOURCE_EXHAUSTED. */
  admit(caller: string): () => void {
    const { streams, streamsPerCaller } = this.limits;
    const own = this.#open.get(caller) ?? 0;
    if (own >= streamsPerCaller) throw new StreamRefused(status.RESOURCE_EXHAUSTED, `${caller} has ${own} discovery streams open, as many as one caller may have`);
    if (this.#total >= streams) throw new StreamRefused(status.RESOURCE_EXHAUSTED, `${this.#total} discovery streams are open, as many as this control plane takes`);
    this.#total++;
    this.#open.set(caller, own + 1);
    return () => {
      this.#total--;
      const left = (this.#open.get(caller) ?? 1) - 1;
      if (left > 0) this.#open.set(caller, left);
      else this.#open.delete(caller);
    };
  }
}

/** A peer's address without its port, IPv4 in its own form. */
export function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1').replace(/^::ffff:(?=\d+\.)/i, '');
}
