import { acquireRuntime, prometheusText, type Runtime, type RuntimeOptions, type XdsStatus } from '@weft/data-plane/internal';
import type { ClientOptions } from '@grpc/grpc-js';
import type { Agent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Dispatcher } from 'undici';
import type { MeshRequestOptions, MeshResponse } from './http/request.js';
import type { ConnectOptions, ConnectTarget } from './tcp/mesh-connector.js';
import type { MeshSocket } from './tcp/mesh-socket.js';
import { MeshClient, type InstallOptions } from './mesh-client.js';

export interface MeshOptions extends RuntimeOptions {
  /** Bytes of a streamed HTTP request body that are kept so that it can be sent again. Default 64 KiB. Bodies that are not streams are always replayable. */
  replayBytes?: number;
  /** How long `close()` waits for requests that run before it gives them up, milliseconds. Default 30 s. */
  drainTimeoutMs?: number;
  /** TLS of the application itself where it requests https:// from hosts of the mesh by fetch or undici: `ca`, `cert`, `key`, … */
  https?: ConnectionOptions;
}

export interface MeshStatus {
  readonly controlPlane: XdsStatus['servers'];
  readonly resources: XdsStatus['resources'];
  /** Undefined until there is one, and where the bootstrap gives no source. */
  readonly identity: { readonly spiffeId: string; readonly validTo: Date } | undefined;
}

/** The mesh, as the requests of this process see it. */
export interface Mesh extends AsyncDisposable {
  /** For undici: `new Agent`'s place, interceptors, `dispatcher:` options. */
  readonly dispatcher: Dispatcher;
  /** Node's fetch, in the mesh. */
  readonly fetch: typeof globalThis.fetch;
  /**
   * The short way: about a quarter of the cost of fetch. Resolves with the response's head; its body has undici's shortcuts.
   * Answers of the mesh itself (503 no healthy upstream, 504 timeout) are responses; a missing configuration or identity rejects
   * with a {@link MeshError} whose `code` says which.
   */
  request(url: string | URL, options?: MeshRequestOptions): Promise<MeshResponse>;
  /** For clients of node:http, such as axios (`httpAgent`), got (`agent.http`) and ws (`agent`). Hosts that are not the mesh's go to http.globalAgent. */
  readonly agent: Agent;
  /** The same for https://: the application's own TLS, in connections that the mesh carries as bytes. */
  readonly httpsAgent: HttpsAgent;
  /**
   * A connection to a TCP port of the mesh (`HOST:PORT`), secured and balanced by it: the Socket itself, a TLSSocket under mutual TLS.
   * Rejects with a {@link MeshError}. Hosts that are not the mesh's are connected directly.
   */
  connect(target: ConnectTarget, options?: ConnectOptions): Promise<Socket>;
  /** A stream that connects when it is told to, for drivers that make their socket first: `new pg.Client({ stream: () => mesh.socket() })`. */
  socket(): MeshSocket;
  /**
   * Puts global fetch in the mesh, with `http: true` also what goes through node:http without an agent of its own. Hosts that are not
   * the mesh's go to the dispatcher and the agent that were installed before.
   * @returns puts those back.
   */
  install(options?: InstallOptions): () => void;
  /** Options for grpc-js clients: `new Client('xds:///name:port', credentials.createInsecure(), mesh.grpc())`. */
  grpc(): Pick<ClientOptions, 'channelFactoryOverride'>;
  /** Resolves once there is an identity (where one is wanted) and the control plane answered; rejects with the reason. Requests wait by themselves. */
  ready(signal?: AbortSignal): Promise<void>;
  status(): MeshStatus;
  /** All metrics as Prometheus text. */
  metrics(): string;
  /** Refuses new requests, waits for those that run, then lets go of the control plane. Idempotent. */
  close(): Promise<void>;
}

/**
 * Joins the mesh: by `options`, else by GRPC_XDS_BOOTSTRAP(_CONFIG), else by WEFT_CONTROL_PLANE and its siblings. Does not wait for
 * anything. A process has one runtime; a second mesh shares it and its options are not used.
 * @throws {@link MeshError} WEFT_BOOTSTRAP_INVALID, WEFT_VERSION_MISMATCH
 */
export function createMesh(options: MeshOptions = {}): Mesh {
  const { replayBytes, drainTimeoutMs, https, ...runtimeOptions } = options;
  return meshOver(acquireRuntime(runtimeOptions), { ...(https && { https }), ...(replayBytes !== undefined && { replayBytes }), ...(drainTimeoutMs !== undefined && { drainTimeoutMs }) });
}

export function meshOver(runtime: Pick<Runtime, 'outbound' | 'tls' | 'xds' | 'stats' | 'identity' | 'ready' | 'close'>, options: Pick<MeshOptions, 'replayBytes' | 'drainTimeoutMs' | 'https'> = {}): Mesh {
  const client = new MeshClient({ engine: runtime.outbound, tls: runtime.tls, ...options });
  let closing: Promise<void> | undefined;
  // Whether by mesh.close() or by dispatcher.close(): who closes one closes all.
  const close = () => (closing ??= client.close().finally(() => runtime.close()));
  client.dispatcher.onClose = close;
  return Object.freeze({
    dispatcher: client.dispatcher,
    fetch: client.fetch,
    request: client.request,
    get agent() {
      return client.agent;
    },
    get httpsAgent() {
      return client.httpsAgent;
    },
    connect: (target: ConnectTarget, connectOptions?: ConnectOptions) => client.connector.connect(target, connectOptions),
    socket: () => client.socket(),
    install: (options?: InstallOptions) => client.install(options),
    grpc: () => client.grpc(),
    ready: (signal?: AbortSignal) => runtime.ready(signal),
    status() {
      const { servers, resources } = runtime.xds.status();
      const svid = runtime.identity?.current()?.svid;
      return { controlPlane: servers, resources, identity: svid && { spiffeId: svid.id.toString(), validTo: svid.leaf.validToDate } };
    },
    metrics: () => prometheusText(runtime.stats),
    close,
    [Symbol.asyncDispose]: close,
  });
}
