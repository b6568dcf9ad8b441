// What an HTTP filter is. One file serves HTTP and gRPC, clients and servers. Three lifetimes: the factory (stateless),
// the filter (state of one named instance in one listener; survives updates), the stream filter (one request).
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { Stats } from '../telemetry/stats.js';

export interface HttpFilterFactory<Config = unknown, Override = Config> {
  /** Envoy's name: `envoy.filters.http.fault`. */
  readonly name: string;
  /** Of its configuration, and of its per-route configuration where that is another message. */
  readonly typeUrls: readonly string[];
  /** Where it makes sense; a configuration that uses it elsewhere is rejected. */
  readonly sides: readonly ('client' | 'server')[];
  /** Terminal filters end the chain and must be last. */
  readonly terminal?: boolean;
  /** Decodes and checks; throws with the field's path where it is wrong or asks for what is not implemented. */
  parse(typeUrl: string, value: Uint8Array): Config;
  parseOverride?(typeUrl: string, value: Uint8Array): Override;
  create(context: FilterContext): HttpFilter<Config, Override>;
}

export interface FilterContext {
  /** Uniform in [0, 1). */
  random(): number;
  now(): number;
  setTimeout(run: () => void, ms: number): { cancel(): void };
  /** Where filters count; absent in tests. */
  readonly stats?: Stats;
}

export interface HttpFilter<Config = unknown, Override = Config> {
  /** What to run for a request on a route; undefined = nothing, which costs nothing. `config` is the latest. */
  forRoute(config: Config, override: Override | undefined): (() => StreamFilter) | undefined;
  close?(): void;
}

/** `undefined` = go on. A reply ends the request here; a promise holds it. */
export type FilterResult = LocalReply | undefined | Promise<LocalReply | undefined>;

export interface StreamFilter {
  /** In list order, before a cluster or handler is chosen. */
  decodeHeaders?(head: RequestHead, info: StreamInfo): FilterResult;
  /** In reverse order, for local replies of later filters too. Synchronous. */
  encodeHeaders?(head: ResponseHead, info: StreamInfo): void;
  /** Always called, once, whatever happened; cancels what the filter still waits for. */
  onComplete?(info: StreamInfo): void;
}
