// Which requests may leave the mesh (contracts.md 3).
import { MeshError, type OutboundEngine } from '@weft/data-plane/internal';

export type OutboundTrafficPolicy = 'ALLOW_ANY' | 'REGISTRY_ONLY';

/** How long the first request to a host that may be outside waits to be told. The control plane answers in milliseconds where there is one. */
const waitMs = 1000;
const remembered = 1000;
/** The host is of the mesh, however little it can be used. */
const final = new Set<string>(['WEFT_RESOURCE_INVALID', 'WEFT_WRONG_PROTOCOL']);

type Unanswered = { kind: 'absent'; error: Error };

export class Passage {
  readonly #engine: OutboundEngine;
  readonly #policy: OutboundTrafficPolicy;
  /** Hosts for which waiting was in vain; they do not wait again. */
  readonly #unanswered = new Set<string>();

  constructor(engine: OutboundEngine, policy: OutboundTrafficPolicy) {
    this.#engine = engine;
    this.#policy = policy;
  }

  allowed(authority: string): boolean {
    return this.#policy === 'ALLOW_ANY' && this.#engine.mayPassThrough(authority);
  }

  /** Whether a request whose look-up ended with this error goes elsewhere. A host that is in the mesh but misconfigured does not. */
  allows(error: Error, authority: string): boolean {
    return (!(error instanceof MeshError) || !final.has(error.code)) && this.allowed(authority);
  }

  /** Waits a little; without an answer the host counts as outside. Call only for hosts that are `allowed`. */
  async settle<T>(lookup: { wait(signal: AbortSignal): Promise<T> }, authority: string): Promise<T | Unanswered> {
    const unanswered: Unanswered = { kind: 'absent', error: new MeshError('WEFT_NO_CONFIG', `${authority}: not answered yet`) };
    if (this.#unanswered.has(authority)) return unanswered;
    try {
      const settled = await lookup.wait(AbortSignal.timeout(waitMs));
      this.#unanswered.delete(authority);
      return settled;
    } catch {
      if (this.#unanswered.size >= remembered) this.#unanswered.clear();
      this.#unanswered.add(authority);
      return unanswered;
    }
  }
}
