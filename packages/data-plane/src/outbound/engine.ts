import type { Clock } from '@weft/spiffe';
import { MeshError } from '../errors.js';
import type { OutboundListenerSnapshot } from '../snapshot/outbound-listener.js';
import type { RequestHead } from '../stream/request-head.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import type { Downstream } from './downstream.js';
import type { MeshNames } from './mesh-names.js';
import type { Lookup, OutboundEngine, OutboundStream, StreamOptions } from './outbound-engine.js';
import { RetryBudgets } from './retry-budget.js';
import type { RetryOptions } from './retry-options.js';
import { OutboundRequest, type StreamServices } from './outbound-stream.js';

/** What the engine needs of snapshot/outbound-listeners.ts. */
export interface ListenerSource {
  get(name: string): ListenerState;
}

export interface ListenerState {
  readonly snapshot: OutboundListenerSnapshot | undefined;
  readonly state: 'pending' | 'ready' | 'absent' | 'error';
  readonly error?: MeshError | undefined;
  /** Resolves once the state is no longer pending. */
  wait(signal?: AbortSignal): Promise<void>;
}

export interface EngineOptions {
  listeners: ListenerSource;
  telemetry: Telemetry;
  clock: Clock;
  random?: () => number;
  names: MeshNames;
  retries?: RetryOptions;
  /** How long a request waits for its name to be answered. Default 15 s, gRPC's timeout of a resource. */
  configTimeoutMs?: number;
}

export class Engine implements OutboundEngine {
  readonly #listeners: ListenerSource;
  readonly #services: StreamServices;
  readonly #clock: Clock;
  readonly #names: MeshNames;
  readonly #configTimeoutMs: number;

  constructor({ listeners, telemetry, clock, random = Math.random, names, retries = {}, configTimeoutMs = 15_000 }: EngineOptions) {
    this.#listeners = listeners;
    this.#services = { telemetry, clock, random, retriesOfRetries: retries.ofRetries ?? true, retryBudgets: retries.budget && new RetryBudgets(retries.budget, clock) };
    this.#clock = clock;
    this.#names = names;
    this.#configTimeoutMs = configTimeoutMs;
  }

  lookup(scheme: 'http' | 'https', authority: string): Lookup {
    // The application's own TLS is bytes to us: HTTP routes cannot apply to it.
    if (scheme === 'https') return { kind: 'absent', error: new MeshError('WEFT_UNSUPPORTED', `https://${authority}: TLS of the application itself would have to be carried through the mesh as TCP, which Weft cannot do yet; dial http://, the mesh encrypts by itself`) };
    const name = this.#names.listener(authority, 80);
    if (name === undefined) return { kind: 'absent', error: new MeshError('WEFT_UNKNOWN_HOST', `${authority} is not a host and port`) };
    const state = this.#listeners.get(name);
    const known = settled(state, name);
    return known ?? { kind: 'pending', wait: (signal) => this.#wait(state, name, signal) };
  }

  mayPassThrough(authority: string): boolean {
    return !this.#names.onlyMesh(authority);
  }

  start(snapshot: OutboundListenerSnapshot, head: RequestHead, downstream: Downstream, options?: StreamOptions): OutboundStream {
    const request = new OutboundRequest(this.#services, snapshot, head, downstream, options);
    request.run();
    return request;
  }

  async #wait(state: ListenerState, name: string, signal: AbortSignal | undefined): Promise<Exclude<Lookup, { kind: 'pending' }>> {
    const timeout = new AbortController();
    const reason = new MeshError('WEFT_NO_CONFIG', `${name}: the control plane did not answer in ${this.#configTimeoutMs} ms`);
    const timer = this.#clock.setTimeout(() => timeout.abort(reason), this.#configTimeoutMs);
    try {
      await state.wait(signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal);
      return settled(state, name) ?? { kind: 'absent', error: reason };
    } catch (error) {
      if (timeout.signal.aborted) return { kind: 'absent', error: state.error ?? reason };
      throw error;
    } finally {
      timer.cancel();
    }
  }
}

/** The last good snapshot stays in force whatever went wrong after it, except that the host was taken out of the mesh. */
function settled(state: ListenerState, name: string): Exclude<Lookup, { kind: 'pending' }> | undefined {
  if (state.state === 'absent') return { kind: 'absent', error: new MeshError('WEFT_UNKNOWN_HOST', name, { cause: state.error }) };
  if (state.snapshot) return { kind: 'mesh', snapshot: state.snapshot };
  if (state.state === 'error') return { kind: 'absent', error: state.error ?? new MeshError('WEFT_NO_CONFIG', name) };
  return undefined;
}
