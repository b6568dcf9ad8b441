import type { TrustBundle } from './trust-bundle.js';
import type { X509Svid } from './x509-svid.js';

/** What a workload is and whom it believes, at one moment. Immutable. */
export interface Identity {
  readonly svid: X509Svid;
  /** By trust domain. Holds at least the SVID's own. */
  readonly bundles: ReadonlyMap<string, TrustBundle>;
  /** Grows by one with every change of the SVID or of a bundle. */
  readonly generation: number;
}

/** Where identities come from: a certificate authority, files, a Workload API. Rotation is the source's own business. */
export interface SvidSource {
  /** The newest identity; undefined until the first. */
  current(): Identity | undefined;
  /** The first identity. Rejects when it was refused for good, when the source closes, or when the signal aborts. */
  ready(signal?: AbortSignal): Promise<Identity>;
  /** Called with every later identity. @returns stops it. */
  subscribe(fn: (identity: Identity) => void): () => void;
  /** Called when the first identity could not be had yet and is tried for again: who waits can say what for. @returns stops it. */
  onDelay?(fn: (reason: Error) => void): () => void;
  close(): void;
}

/** The state that every SvidSource has: the current identity, who waits for the first and who follows. */
export class IdentityHolder implements SvidSource {
  #identity: Identity | undefined;
  #failure: Error | undefined;
  #delay: Error | undefined;
  readonly #subscribers = new Set<(identity: Identity) => void>();
  readonly #delayListeners = new Set<(reason: Error) => void>();
  readonly #waiting = new Set<{ resolve(identity: Identity): void; reject(error: Error): void }>();

  current(): Identity | undefined {
    return this.#identity;
  }

  ready(signal?: AbortSignal): Promise<Identity> {
    if (this.#identity) return Promise.resolve(this.#identity);
    if (this.#failure) return Promise.reject(this.#failure);
    if (signal?.aborted) return Promise.reject(this.#delay ?? (signal.reason as Error));
    const { promise, resolve, reject } = Promise.withResolvers<Identity>();
    const waiter = { resolve, reject };
    const abort = () => {
      this.#waiting.delete(waiter);
      // "Timed out" helps nobody: what it waited for does.
      reject(this.#delay ?? (signal?.reason as Error));
    };
    this.#waiting.add(waiter);
    signal?.addEventListener('abort', abort, { once: true });
    return promise.finally(() => signal?.removeEventListener('abort', abort));
  }

  subscribe(fn: (identity: Identity) => void): () => void {
    // A wrapper of its own, so that subscribing one function twice is two subscriptions.
    const own = (identity: Identity) => fn(identity);
    this.#subscribers.add(own);
    return () => void this.#subscribers.delete(own);
  }

  onDelay(fn: (reason: Error) => void): () => void {
    const own = (reason: Error) => fn(reason);
    this.#delayListeners.add(own);
    return () => void this.#delayListeners.delete(own);
  }

  /** There is no identity yet, and trying goes on. */
  delay(reason: Error): void {
    if (this.#identity) return;
    this.#delay = reason;
    for (const fn of this.#delayListeners) fn(reason);
  }

  set(svid: X509Svid, bundles: ReadonlyMap<string, TrustBundle>): Identity {
    const identity: Identity = Object.freeze({ svid, bundles, generation: (this.#identity?.generation ?? 0) + 1 });
    this.#identity = identity;
    this.#failure = this.#delay = undefined;
    for (const { resolve } of this.#waiting) resolve(identity);
    this.#waiting.clear();
    for (const fn of this.#subscribers) {
      // One follower's failure must not keep the others on the old identity, nor stop the rotation.
      try {
        fn(identity);
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
    return identity;
  }

  /** Nobody needs to wait for the first identity any longer. An identity that is already there stays. */
  fail(error: Error): void {
    if (!this.#identity) this.#failure = error;
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting.clear();
  }

  close(): void {
    this.fail(new Error('the SVID source is closed'));
    this.#subscribers.clear();
    this.#delayListeners.clear();
  }
}

/** A source that obtains identities in its own way and leaves the rest to its holder. */
export abstract class HeldIdentity implements SvidSource {
  protected readonly holder: IdentityHolder = new IdentityHolder();

  current(): Identity | undefined {
    return this.holder.current();
  }

  ready(signal?: AbortSignal): Promise<Identity> {
    return this.holder.ready(signal);
  }

  subscribe(fn: (identity: Identity) => void): () => void {
    return this.holder.subscribe(fn);
  }

  onDelay(fn: (reason: Error) => void): () => void {
    return this.holder.onDelay(fn);
  }

  abstract close(): void;
}
