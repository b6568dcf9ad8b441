// What an HTTP filter is. One file serves HTTP and gRPC, clients and servers. Three lifetimes: the factory (stateless),
// the filter (state of one named instance in one listener; survives updates), the stream filter (one request).
import type { DescMessage } from '@weft/xds-api/protobuf';
import type { RouteRateLimits } from '../resource/rate-limit-config.js';
import type { HeaderMap } from '../stream/header-map.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import type { Stats } from '../telemetry/stats.js';
import type { DnsCaches } from '../upstream/dns/dns-cache.js';
import type { ClusterCalls } from './cluster-calls.js';

export interface HttpFilterFactory<Config = unknown, Override = Config> {
  /** Envoy's name: `envoy.filters.http.fault`. */
  readonly name: string;
  /** Of its configuration, and of its per-route configuration where that is another message. */
  readonly typeUrls: readonly string[];
  /**
   * Descriptors of the messages in `typeUrls`: with them a configuration may also come as a TypedStruct. Without, the value of a TypedStruct
   * comes to `parse` as JSON text (UTF-8).
   */
  readonly messages?: readonly DescMessage[];
  /** Where it makes sense; a configuration that uses it elsewhere is rejected. */
  readonly sides: readonly ('client' | 'server')[];
  /** Terminal filters end the chain and must be last. */
  readonly terminal?: boolean;
  /** Decodes and checks; throws with the field's path where it is wrong or asks for what is not implemented. */
  parse(typeUrl: string, value: Uint8Array): Config;
  parseOverride?(typeUrl: string, value: Uint8Array): Override;
  /** Clusters that the filter calls: followed as long as the configuration is in force, so that no request waits for them. */
  clusters?(config: Config): readonly string[];
  create(context: FilterContext): HttpFilter<Config, Override>;
}

export interface FilterContext {
  /** Uniform in [0, 1). */
  random(): number;
  /** Where numbers are given instead of drawn (`weft explain`): the given one, modulo n. */
  randomBelow?(n: number): number;
  now(): number;
  setTimeout(run: () => void, ms: number): { cancel(): void };
  /** Where filters count; absent in tests. */
  readonly stats?: Stats;
  /** Calls to clusters of the mesh; absent in tests. */
  readonly clusters?: ClusterCalls;
  /** Names that requests brought, shared with clusters; absent in tests. */
  readonly dnsCaches?: DnsCaches;
  /** Name of this workload's own cluster, where a configuration asks for it (Envoy's `--service-cluster`); absent in tests. */
  readonly localCluster?: string;
}

/** What a filter may know of a route, beside its own most specific override there. */
export interface FilterRouteInfo<Override = unknown> {
  /** The filter's overrides of every level, the least specific first: route configuration, virtual host, route, weighted cluster. */
  readonly overrides: readonly Override[];
  readonly metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly rateLimits: RouteRateLimits;
  /** Whether requests go on to a cluster or handler: not those of redirects and direct responses, which some filters leave alone. */
  readonly forwards: boolean;
}

export interface HttpFilter<Config = unknown, Override = Config> {
  /** What to run for a request on a route; undefined = nothing, which costs nothing. `config` is the latest. Called once a route, not per request. */
  forRoute(config: Config, override: Override | undefined, route: FilterRouteInfo<Override>): (() => StreamFilter) | undefined;
  close?(): void;
}

/** `undefined` = go on. A reply ends the request here; a promise holds it. */
export type FilterResult = LocalReply | undefined | Promise<LocalReply | undefined>;

/** What a filter may ask of its request, in any of its callbacks and, until `onComplete`, outside of them. */
export interface FilterStream {
  /** Whether something follows the request's head. */
  readonly requestHasBody: boolean;
  /** What was decoded. Undefined in `encodeHeaders` of a request that was refused before any filter saw it. */
  readonly requestHead: RequestHead | undefined;
  /** Whether something follows the response's head; known from `encodeHeaders` on. */
  readonly responseHasBody: boolean;
  /**
   * Waits for the whole request body, as the filters before this one leave it; the next filters and the other side get it all the same.
   * Undefined where it is longer than `maxBytes`. Only before `decodeHeaders` is settled.
   */
  bufferBody(maxBytes: number): Promise<Uint8Array | undefined>;
  /** Ends the request with this answer; where a response has begun, it breaks that off. */
  endWith(reply: LocalReply): void;
}

export interface StreamFilter {
  /** In list order, before a cluster or handler is chosen. */
  decodeHeaders?(head: RequestHead, info: StreamInfo, stream: FilterStream): FilterResult;
  /** What the request's body has to pass, asked after `decodeHeaders` and only where there is a body. Whoever changes bytes removes `content-length`. */
  decodeBody?(head: RequestHead, info: StreamInfo): BodyFilter | undefined;
  /** In reverse order, for local replies too, also of a filter that kept `decodeHeaders` of this one from being asked, as in Envoy. Synchronous. */
  encodeHeaders?(head: ResponseHead, info: StreamInfo, stream: FilterStream): void;
  /** The same for the response. */
  encodeBody?(head: ResponseHead, info: StreamInfo): BodyFilter | undefined;
  /** Always called, once, whatever happened; cancels what the filter still waits for. */
  onComplete?(info: StreamInfo): void;
}

/** What goes on in place of what came, at once or later. Later holds what follows, and the sender. */
export type BodyResult = Uint8Array | undefined | void | Promise<Uint8Array | undefined | void>;

/** One body at one filter. gRPC messages come as they are on the wire, each behind its five bytes. One that throws ends the request. */
export interface BodyFilter {
  /** `push` gives on more than one piece, or earlier ones. Left out: chunks pass. */
  data?(chunk: Uint8Array, push: (chunk: Uint8Array) => void): BodyResult;
  /** Nothing follows but the trailers, which may be edited; empty where there are none. */
  end?(trailers: HeaderMap, push: (chunk: Uint8Array) => void): BodyResult;
}
