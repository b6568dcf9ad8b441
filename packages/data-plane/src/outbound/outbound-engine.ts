// Entry of the request path for client adapters: from a dialled name to a running stream.
import type { Socket } from 'node:net';
import type { OutboundListenerSnapshot } from '../snapshot/outbound-listener.js';
import type { RequestHead } from '../stream/request-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { OutboundTcpSnapshot } from '../snapshot/outbound-tcp.js';
import type { Downstream } from './downstream.js';
import type { RequestRecorder } from './request-recorder.js';
import type { TcpConnectOptions } from './tcp-connection.js';

export interface OutboundEngine {
  /**
   * What the mesh knows of a dialled authority now, without waiting. The first look-up of a name subscribes to it.
   * `absent`: not in the mesh (pass it through, or refuse with `error`, see `mayPassThrough`). `pending`: `wait()` for it.
   */
  lookup(scheme: 'http' | 'https', authority: string): Lookup;
  /** The same for a connection that carries bytes. `defaultPort` counts where none is written; 0 = it has to be. */
  lookupTcp(authority: string, defaultPort?: number): TcpLookup;
  /** Makes one connection. Rejects with a MeshError, or with the signal's reason. */
  connectTcp(snapshot: OutboundTcpSnapshot, options: TcpConnectOptions): Promise<Socket>;
  /** Single-label names and names of the cluster domain never leave the mesh (contracts.md 3). */
  mayPassThrough(authority: string): boolean;
  /** Runs one request. The snapshot is pinned: later updates do not touch it. */
  start(snapshot: OutboundListenerSnapshot, head: RequestHead, downstream: Downstream, options?: StreamOptions): OutboundStream;
}

export type Lookup =
  | { kind: 'mesh'; snapshot: OutboundListenerSnapshot }
  | { kind: 'absent'; error: Error }
  | { kind: 'pending'; wait(signal?: AbortSignal): Promise<Exclude<Lookup, { kind: 'pending' }>> };

export type TcpLookup =
  | { kind: 'mesh'; snapshot: OutboundTcpSnapshot }
  | { kind: 'absent'; error: Error }
  | { kind: 'pending'; wait(signal?: AbortSignal): Promise<Exclude<TcpLookup, { kind: 'pending' }>> };

export interface StreamOptions {
  /** Absolute, performance.now() based: the caller's own deadline (gRPC). The earlier of it and the route's timeout ends the request. */
  deadline?: number;
  /** `weft explain`'s. */
  recorder?: RequestRecorder;
}

export interface OutboundStream {
  readonly info: StreamInfo;
  /** The whole request body has been handed over: the route timeout starts (Envoy counts from here). */
  requestEnd(bytes: number): void;
  /** The caller went away. */
  cancel(reason?: Error): void;
}
