// What a conformance case is: filters and routes as raw resources, requests, and what must come of them. The same case runs through
// both adapters (undici and grpc-js), on both sides, and through a real Envoy (test/interop/envoy-filters.test.ts).

export type Protocol = 'http' | 'grpc';
export type Coding = 'gzip' | 'br' | 'zstd';
export type Side = 'client' | 'server';
/** A message in proto JSON. */
export type Json = Readonly<Record<string, unknown>>;

export interface ConformanceCase {
  readonly name: string;
  /** Default: both. */
  readonly sides?: readonly Side[];
  /** Default: both. */
  readonly protocols?: readonly Protocol[];
  /** Why a real Envoy is not asked, where it cannot be or is known to differ (docs/envoy-differences.md). */
  readonly notEnvoy?: string;
  /** `http_filters` without the router, which follows them. */
  readonly filters?: readonly Json[];
  /** Of the router itself. */
  readonly router?: Json;
  /** Routes; without an action: forward to the backend (clients), the application's handler (servers). Default: one for everything. */
  readonly routes?: readonly Json[];
  /** More of the VirtualHost, RouteConfiguration and HttpConnectionManager. */
  readonly virtualHost?: Json;
  readonly routeConfiguration?: Json;
  readonly connectionManager?: Json;
  /** More of the Cluster that is the backend. */
  readonly cluster?: Json;
  /** One after the other, so that what a filter remembers can be tested. */
  readonly exchanges: readonly Exchange[];
}

export interface Exchange {
  /** Only over this protocol. */
  readonly only?: Protocol;
  /** HTTP; a gRPC call is always a POST of /test.Echo/Echo. */
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** HTTP. */
  readonly body?: string;
  /** What `body` is compressed with before it is sent. */
  readonly coding?: Coding;
  /** How the backend or handler answers; a list: one attempt after the other, the last for all that follow. */
  readonly answer?: BackendAnswer | readonly BackendAnswer[];
  readonly expect: Expectation;
}

export interface BackendAnswer {
  readonly status?: number;
  readonly grpcStatus?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** HTTP. Default `backend`. */
  readonly body?: string;
  /** HTTP: instead of `body`, so many `b`. */
  readonly length?: number;
  readonly coding?: Coding;
  /** In pieces, without a length. */
  readonly chunked?: boolean;
  /** gRPC: nothing before the status. */
  readonly trailersOnly?: boolean;
  /** Instead of an answer: none, or the end of the connection. */
  readonly instead?: 'silence' | 'reset';
}

export interface Expectation {
  /** HTTP. Default 200. */
  readonly status?: number;
  /** gRPC. Default: 0 where `status` is 200, else what Envoy makes of it. */
  readonly grpcStatus?: number;
  /** Of the response (gRPC: of metadata and trailers); `undefined`: must not be there. */
  readonly headers?: Readonly<Record<string, string | RegExp | undefined>>;
  /** HTTP body or gRPC status message, of answers that the backend did not give. */
  readonly body?: string | RegExp;
  /** HTTP: what the response's body is compressed with. */
  readonly coding?: Coding;
  /** HTTP: the request's body as the backend or handler got it. */
  readonly seenBody?: string;
  readonly seenCoding?: Coding;
  /** Headers as the backend or handler got them; `undefined`: must not be there. `false`: it got nothing. */
  readonly seen?: false | Readonly<Record<string, string | RegExp | undefined>>;
  /** How often the backend or handler was asked. */
  readonly attempts?: number;
  /** The answer does not come before. */
  readonly minimumMs?: number;
  /** HTTP: the path as the backend or handler got it. */
  readonly seenPath?: string;
}

export interface Seen {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** What came of a request. */
export interface Outcome {
  readonly status: number;
  readonly grpcStatus: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly bytes?: Buffer;
  readonly seen: Seen | undefined;
  readonly attempts: number;
}

/** Of the case, in proto JSON. */
export function filterOf(name: string, type: string, config: Json = {}, more: Json = {}): Json {
  return { name, typed_config: { '@type': `type.googleapis.com/${type}`, ...config }, ...more };
}

/** A message for an Any. */
export function any(type: string, config: Json = {}): Json {
  return { '@type': `type.googleapis.com/${type}`, ...config };
}
