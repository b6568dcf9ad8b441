// How filters call clusters of the mesh themselves: authorization, rate limits, key sets. Implemented by outbound/cluster-caller.ts.
import type { HeaderMap } from '../stream/header-map.js';

export interface ClusterCalls {
  /**
   * One unary gRPC call on a host of the cluster, balanced, counted and secured like any request. Rejects with a {@link ClusterCallError}
   * where it does not end with status 0.
   * @param path `/package.Service/Method`
   */
  unary(cluster: string, path: string, message: Uint8Array, options: ClusterCallOptions): Promise<Uint8Array>;
  /** One HTTP request; resolves with any response, rejects with a {@link ClusterCallError} where there is none. */
  fetch(cluster: string, request: ClusterRequest, options: ClusterCallOptions): Promise<ClusterResponse>;
  /** How many hosts a cluster has and how many of them are well; undefined where it is not known (yet). */
  membership(cluster: string): { readonly total: number; readonly healthy: number } | undefined;
  /** Follows the cluster until the function it returns is called. Calls also reach clusters that nobody holds, but wait for them then. */
  hold(cluster: string): () => void;
}

export interface ClusterCallOptions {
  /** Of the whole call, waiting for the cluster included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Metadata (gRPC) beside the usual. */
  readonly headers?: HeaderMap;
}

export interface ClusterRequest {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers?: HeaderMap;
  readonly body?: Uint8Array;
  /** Longest response body, bytes; a longer one fails the call. Default 1 MiB. */
  readonly maxBytes?: number;
}

export interface ClusterResponse {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
}

export class ClusterCallError extends Error {
  /** Of the gRPC response, or what best says what went wrong: 4 timeout, 1 cancelled, 14 no host or no connection. */
  readonly grpcStatus: number;

  constructor(grpcStatus: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ClusterCallError';
    this.grpcStatus = grpcStatus;
  }
}
