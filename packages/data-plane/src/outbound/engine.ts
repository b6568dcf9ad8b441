import type { Socket } from 'node:net';
import type { Clock } from '@weft/spiffe';
import { MeshError } from '../errors.js';
import type { OutboundListenerSnapshot } from '../snapshot/outbound-listener.js';
import type { OutboundTcpSnapshot } from '../snapshot/outbound-tcp.js';
import type { RequestHead } from '../stream/request-head.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import type { Downstream } from './downstream.js';
import type { MeshNames } from './mesh-names.js';
import type { Lookup, OutboundEngine, OutboundStream, StreamOptions, TcpLookup } from './outbound-engine.js';
import { RetryBudgets } from './retry-budget.js';
import type { RetryOptions } from './retry-options.js';
import { OutboundRequest, type StreamServices } from './outbound-stream.js';
import { connectTcp, type TcpConnectOptions } from './tcp-connection.js';

type Known = Exclude<Lookup | TcpLookup, { kind: 'pending' }>;
type Pending<T> = { kind: 'pending'; wait(signal?: AbortSignal): Promise<T> };

/** What the engine needs of snapshot/outbound-listeners.ts. */
export interface ListenerSource {
  get(name: string): ListenerState;
}

export interface ListenerState {
  readonly snapshot: OutboundListenerSnapshot | undefined;
  /** Where the name stands for bytes. */
  readonly tcp?: OutboundTcpSnapshot | undefined;
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
  /** Of this process. Default 127.0.0.1. */
  sourceAddress?: string;
}

export class Engine implements OutboundEngine {
  readonly #listeners: ListenerSource;
  readonly #services: StreamServices;
  readonly #sourceAddress: string;
  readonly #clock: Clock;
  readonly #names: MeshNames;
  readonly #configTimeoutMs: number;

  constructor({ listeners, telemetry, clock, random = Math.random, names, retries = {}, configTimeoutMs = 15_000, sourceAddress = '127.0.0.1' }: EngineOptions) {
    this.#listeners = listeners;
    this.#services = { telemetry, clock, random, retriesOfRetries: retries.ofRetries ?? true, retryBudgets: retries.budget && new RetryBudgets(retries.budget, clock) };
    this.#sourceAddress = sourceAddress;
    this.#clock = clock;
    this.#names = names;
    this.#configTimeoutMs = configTimeoutMs;
  }

  lookup(scheme: 'http' | 'https', authority: string): Lookup {
    // The application's own TLS is bytes to us: HTTP routes cannot apply to it.
    if (scheme === 'https') return { kind: 'absent', error: new MeshError('WEFT_WRONG_PROTOCOL', `https://${authority} is bytes to the mesh: see lookupTcp`) };
    return this.#lookup(authority, 80, settled);
  }

  lookupTcp(authority: string, defaultPort = 0): TcpLookup {
    return this.#lookup(authority, defaultPort, settledTcp);
  }

  connectTcp(snapshot: OutboundTcpSnapshot, options: TcpConnectOptions): Promise<Socket> {
    return connectTcp({ ...this.#services, random: () => this.#services.random(), sourceAddress: this.#sourceAddress }, snapshot, options);
  }

  #lookup<T extends Known>(authority: string, defaultPort: number, settle: (state: ListenerState, name: string) => T | undefined): T | Pending<T> {
    const name = this.#names.listener(authority, defaultPort);
    if (name === undefined) return { kind: 'absent', error: new MeshError('WEFT_UNKNOWN_HOST', `${authority} is not a host and port`) } as Known as T;
    const state = this.#listeners.get(name);
    return settle(state, name) ?? { kind: 'pending', wait: (signal) => this.#wait(state, name, settle, signal) };
  }

  mayPassThrough(authority: string): boolean {
    return !this.#names.onlyMesh(authority);
  }

  start(snapshot: OutboundListenerSnapshot, head: RequestHead, downstream: Downstream, options?: StreamOptions): OutboundStream {
    const request = new OutboundRequest(this.#services, snapshot, head, downstream, options);
    request.run();
    return request;
  }

  async #wait<T extends Known>(state: ListenerState, name: string, settle: (state: ListenerState, name: string) => T | undefined, signal: AbortSignal | undefined): Promise<T> {
    const timeout = new AbortController();
    const reason = new MeshError('WEFT_NO_CONFIG', `${name}: the control plane did not answer in ${this.#configTimeoutMs} ms`);
    const timer = this.#clock.setTimeout(() => timeout.abort(reason), this.#configTimeoutMs);
    try {
      await state.wait(signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal);
      return settle(state, name) ?? ({ kind: 'absent', error: reason } as Known as T);
    } catch (error) {
      if (timeout.signal.aborted) return { kind: 'absent', error: state.error ?? reason } as Known as T;
      throw error;
    } finally {
      timer.cancel();
    }
  }
}

/** The same for a name whose bytes are carried. */
function settledTcp(state: ListenerState, name: string): Exclude<TcpLookup, { kind: 'pending' }> | undefined {
  if (state.tcp && state.state !== 'absent') return { kind: 'mesh', snapshot: state.tcp };
  if (state.snapshot && state.state !== 'absent') return { kind: 'absent', error: new MeshError('WEFT_WRONG_PROTOCOL', `${name} is HTTP in the mesh; dial http://, the mesh encrypts by itself`) };
  return unsettled(state, name);
}

/** The last good snapshot stays in force whatever went wrong after it, except that the host was taken out of the mesh. */
function settled(state: ListenerState, name: string): Exclude<Lookup, { kind: 'pending' }> | undefined {
  if (state.snapshot && state.state !== 'absent') return { kind: 'mesh', snapshot: state.snapshot };
  if (state.tcp && state.state !== 'absent') return { kind: 'absent', error: new MeshError('WEFT_WRONG_PROTOCOL', `${name} is a port of bytes (TCP) in the mesh, dialled by HTTP; use mesh.connect`) };
  return unsettled(state, name);
}

function unsettled(state: ListenerState, name: string): { kind: 'absent'; error: Error } | undefined {
  if (state.state === 'absent') return { kind: 'absent', error: new MeshError('WEFT_UNKNOWN_HOST', name, { cause: state.error }) };
  if (state.state === 'error') return { kind: 'absent', error: state.error ?? new MeshError('WEFT_NO_CONFIG', name) };
  return undefined;
}
