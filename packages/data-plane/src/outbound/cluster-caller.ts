// Calls that the engine makes itself, for filters: the same clusters, balancing, limits, identity and outlier detection as requests of
// the application, without routes, filters and retries.
import type { Clock } from '@weft/spiffe';
import type { Dispatcher } from 'undici';
import { ClusterCallError, type ClusterCallOptions, type ClusterCalls, type ClusterRequest, type ClusterResponse } from '../filter/cluster-calls.js';
import { HeaderMap } from '../stream/header-map.js';
import type { RequestHead } from '../stream/request-head.js';
import { grpcFailure } from '../transport/grpc-failure.js';
import { grpc, type GrpcTransport } from '../transport/grpc-transport.js';
import { httpFailure } from '../transport/http-failure.js';
import type { HttpTransport } from '../transport/http-transport.js';
import { UpstreamConnectError } from '../transport/connector.js';
import type { ClusterHandle, ClusterManager } from '../upstream/cluster-manager.js';
import { Host } from '../upstream/host.js';
import type { UpstreamCluster } from '../upstream/upstream-cluster.js';
import { UpstreamRequest, type AttemptOwner } from './upstream-request.js';

export interface ClusterCallerOptions {
  clusters: Pick<ClusterManager, 'acquire'>;
  http: Pick<HttpTransport, 'dispatcher'>;
  grpc: Pick<GrpcTransport, 'channel'>;
  clock: Clock;
}

const mebibyte = 1_048_576;

export class ClusterCaller implements ClusterCalls {
  readonly #options: ClusterCallerOptions;
  /** grpc-js's clients, over the channels of hosts. */
  readonly #clients = new WeakMap<grpc.Channel, grpc.Client>();

  constructor(options: ClusterCallerOptions) {
    this.#options = options;
  }

  hold(cluster: string): () => void {
    const handle = this.#options.clusters.acquire(cluster);
    return () => handle.release();
  }

  membership(name: string): { total: number; healthy: number } | undefined {
    const handle = this.#options.clusters.acquire(name);
    const hosts = handle.cluster?.hosts;
    handle.release();
    return hosts && { total: hosts.length, healthy: hosts.filter(({ available }) => available).length };
  }

  unary(name: string, path: string, message: Uint8Array, options: ClusterCallOptions): Promise<Uint8Array> {
    return this.#call(name, headOf('grpc', { method: 'POST', authority: name, path, ...(options.headers && { headers: options.headers }) }), options, (attempt, signal) => {
      const channel = this.#options.grpc.channel(attempt.host, attempt.cluster);
      const metadata = new grpc.Metadata();
      for (const [key, value] of options.headers ?? []) metadata.add(key, value);
      return new Promise((resolve, reject) => {
        const call = this.#clientOf(channel).makeUnaryRequest(path, asBuffer, asBytes, message, metadata, { deadline: Date.now() + options.timeoutMs }, (error, value) => {
          const failure = error && grpcFailure(error);
          if (failure) attempt.onFailure(failure);
          else {
            attempt.onHead({ status: 200, headers: new HeaderMap(), grpcStatus: error?.code ?? 0 });
            attempt.onEnd({ grpcStatus: error?.code ?? 0, bytesSent: message.length, bytesReceived: value?.length ?? 0 });
          }
          if (error) reject(new ClusterCallError(error.code, error.details, { cause: error }));
          else resolve(value ?? new Uint8Array());
        });
        signal.addEventListener('abort', () => call.cancel(), { once: true });
      });
    });
  }

  fetch(name: string, request: ClusterRequest, options: ClusterCallOptions): Promise<ClusterResponse> {
    return this.#call(name, headOf('http', request), options, async (attempt, signal) => {
      try {
        const { method, authority, path, headers, body, maxBytes = mebibyte } = request;
        const response = await this.#options.http.dispatcher(attempt.host, attempt.cluster).request({
          method: method as Dispatcher.HttpMethod, path, headers: ['host', authority, ...(headers?.raw ?? [])], signal, body: body ?? null, responseHeaders: 'raw',
        } as Dispatcher.RequestOptions);
        const head = { status: response.statusCode, headers: HeaderMap.from(response.headers) };
        attempt.onHead(head);
        const bytes = await read(response.body, maxBytes);
        attempt.onEnd({ bytesSent: body?.length ?? 0, bytesReceived: bytes.length });
        return { ...head, body: bytes };
      } catch (error) {
        if (!signal.aborted) attempt.onFailure(httpFailure(error as Error, true));
        throw error instanceof ClusterCallError ? error : new ClusterCallError(14, (error as Error).message, { cause: error });
      }
    });
  }

  /** Finds the cluster and a host, and ends what runs when the time is over or the caller gives up. */
  async #call<T>(name: string, head: RequestHead, { timeoutMs, signal }: ClusterCallOptions, run: (attempt: UpstreamRequest, signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clusters, clock } = this.#options;
    const handle = clusters.acquire(name);
    const ending = new AbortController();
    let attempt: UpstreamRequest | undefined;
    const end = (error: ClusterCallError, failure: 'per-try-timeout' | undefined) => {
      // Before the abort: what the transport says about it must not count.
      attempt?.finish(failure);
      ending.abort(error);
    };
    const cancel = () => end(new ClusterCallError(1, `the call to ${name} was cancelled`), undefined);
    const timer = clock.setTimeout(() => end(new ClusterCallError(4, `${name} did not answer in ${timeoutMs} ms`), 'per-try-timeout'), timeoutMs);
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const cluster = handle.cluster ?? (await ready(handle, ending.signal));
      ending.signal.throwIfAborted();
      const host = cluster.choose({ attempt: 0, attempted: [], priority: 'default', authority: head.authority });
      if (!(host instanceof Host)) throw new ClusterCallError(14, String(host.body));
      attempt = new UpstreamRequest(nobody, host, host.cluster, head, 'default', { number: 1, deadline: performance.now() + timeoutMs, idleTimeoutMs: 0 });
      return await Promise.race([run(attempt, ending.signal), aborted(ending.signal)]);
    } catch (error) {
      if (error instanceof UpstreamConnectError) attempt?.onFailure({ kind: error.kind, message: error.message, cause: error });
      throw error instanceof ClusterCallError ? error : new ClusterCallError(14, (error as Error).message, { cause: error });
    } finally {
      // Its end, if nothing else ended it.
      attempt?.finish(undefined);
      timer.cancel();
      signal?.removeEventListener('abort', cancel);
      handle.release();
    }
  }

  #clientOf(channel: grpc.Channel): grpc.Client {
    let client = this.#clients.get(channel);
    if (!client) this.#clients.set(channel, (client = new grpc.Client('', grpc.credentials.createInsecure(), { channelOverride: channel })));
    return client;
  }
}

const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const asBytes = (bytes: Buffer): Uint8Array => bytes;

const nobody: AttemptOwner = { onAttemptReady() {}, onAttemptInformation() {}, onAttemptTimeout: () => false, onAttemptHead: () => 'forward', onAttemptFailure() {}, onAttemptBroken() {}, onAttemptEnd() {} };

function headOf(protocol: RequestHead['protocol'], { method, authority, path, headers }: Pick<ClusterRequest, 'method' | 'authority' | 'path' | 'headers'>): RequestHead {
  return { protocol, method, scheme: 'http', authority, path, headers: headers ?? new HeaderMap() };
}

/** A cluster that was asked for a moment ago has to come first. */
function ready(handle: ClusterHandle, signal: AbortSignal): Promise<UpstreamCluster> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (handle.cluster) resolve(handle.cluster);
      else if (handle.state !== 'pending') reject(new ClusterCallError(14, handle.error?.message ?? `no cluster ${handle.name}`, { cause: handle.error }));
    };
    handle.subscribe(look);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    look();
    if (signal.aborted) reject(signal.reason as Error);
  });
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }));
}

async function read(body: AsyncIterable<Uint8Array> & { destroy(): unknown }, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw new ClusterCallError(8, `the response is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
