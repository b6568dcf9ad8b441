import type { ConnectionOptions } from 'node:tls';
import { GrpcTransport, HttpTransport, MeshError, TcpTransport, type OutboundEngine, type TlsContexts } from '@weft/data-plane/internal';
import { Dispatcher1Wrapper, type Agent } from 'undici';
import type { ChannelCredentials, ChannelOptions, ClientOptions } from '@grpc/grpc-js';
import { MeshChannel, type ChannelServices } from './grpc/mesh-channel.js';
import type { ExchangeServices } from './http/http-exchange.js';
import { currentGlobal, installDispatcher } from './http/install.js';
import { MeshDispatcher } from './http/mesh-dispatcher.js';
import { Passage, type OutboundTrafficPolicy } from './http/passage.js';
import { meshRequest, type MeshRequestOptions, type MeshResponse, type RequestServices } from './http/request.js';
import { InFlight, type Running } from './in-flight.js';
import { Mirrors } from './mirrors.js';
import { InProcessServer } from './node-http/in-process-server.js';
import { installAgents } from './node-http/install-agents.js';
import { MeshAgent } from './node-http/mesh-agent.js';
import { MeshHttpsAgent } from './node-http/mesh-https-agent.js';
import { MeshConnector } from './tcp/mesh-connector.js';
import { MeshSocket } from './tcp/mesh-socket.js';
import { secureDispatcher } from './tcp/secure-dispatcher.js';

export interface MeshClientOptions {
  readonly engine: OutboundEngine;
  readonly tls: TlsContexts | undefined;
  readonly outboundTrafficPolicy?: OutboundTrafficPolicy;
  /** Bytes of a streamed request body that are kept so that it can be sent again. Default 64 KiB. */
  readonly replayBytes?: number;
  /** How long close() waits for requests that run, milliseconds. Default 30 s. */
  readonly drainTimeoutMs?: number;
  /** TLS of the application itself, for https:// to hosts of the mesh. */
  readonly https?: ConnectionOptions;
}

export interface InstallOptions {
  /** Also what goes through node:http without an agent of its own. Default false. */
  http?: boolean;
}

// The built-in one, so that its classes (Response, FormData, Headers) are those the application has as globals.
const builtInFetch = globalThis.fetch;

/** The requests and calls of one process, over one engine. */
export class MeshClient {
  readonly dispatcher: MeshDispatcher;
  readonly #inFlight = new InFlight();
  readonly #mirrors = new Mirrors();
  readonly #drainTimeoutMs: number;
  readonly #transport: HttpTransport;
  readonly #grpcTransport: GrpcTransport;
  readonly #request: RequestServices;
  readonly #channels: ChannelServices;
  readonly #fetchDispatcher: Dispatcher1Wrapper;
  readonly #engine: OutboundEngine;
  readonly #passage: Passage;
  readonly connector: MeshConnector;
  readonly #https: ConnectionOptions;
  #secure: Agent | undefined;
  #agent: MeshAgent | undefined;
  #httpsAgent: MeshHttpsAgent | undefined;
  #uninstall: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor({ engine, tls, outboundTrafficPolicy = 'ALLOW_ANY', replayBytes = 65_536, drainTimeoutMs = 30_000, https = {} }: MeshClientOptions) {
    this.#drainTimeoutMs = drainTimeoutMs;
    this.#transport = new HttpTransport({ tls });
    this.#grpcTransport = new GrpcTransport({ tls });
    const counted = { engine, mirrors: this.#mirrors, started: (running: Running) => this.#inFlight.add(running), ended: (running: Running) => this.#inFlight.remove(running), closed: () => this.#closing !== undefined };
    const passage = new Passage(engine, outboundTrafficPolicy);
    this.#https = https;
    this.connector = new MeshConnector({ ...counted, passage, transport: new TcpTransport({ tls }) });
    const secureFor = async (authority: string) => ((await this.connector.findSecure(authority)).kind === 'mesh' ? (this.#secure ??= secureDispatcher(this.connector, this.#https)) : undefined);
    const exchange: ExchangeServices = { ...counted, transport: this.#transport, replayBytes, secureFor };
    this.#engine = engine;
    this.#passage = passage;
    this.dispatcher = new MeshDispatcher({ services: exchange, passage, replayBytes });
    this.dispatcher.fallback = currentGlobal;
    this.dispatcher.onClose = () => this.close();
    this.#request = { exchange, dispatcher: this.dispatcher, passage, replayBytes, closed: counted.closed };
    this.#channels = { ...counted, transport: this.#grpcTransport, passage };
    // The bundled fetch knows only handlers of undici 7's form on some versions of Node.
    this.#fetchDispatcher = new Dispatcher1Wrapper(this.dispatcher);
  }

  readonly fetch = ((input: string | URL | Request, init?: RequestInit) =>
    builtInFetch(input, { ...init, dispatcher: this.#fetchDispatcher } as object)) as typeof globalThis.fetch;

  readonly request = (url: string | URL, options?: MeshRequestOptions): Promise<MeshResponse> => meshRequest(this.#request, url, options);

  grpc(): Pick<ClientOptions, 'channelFactoryOverride'> {
    return { channelFactoryOverride: (target: string, credentials: ChannelCredentials, options: ChannelOptions) => new MeshChannel(this.#channels, target, credentials, options) };
  }

  /** Made for whoever asks: most applications use no client of node:http. */
  get agent(): MeshAgent {
    this.#agent ??= new MeshAgent({ engine: this.#engine, passage: this.#passage, server: new InProcessServer(this.dispatcher) });
    return this.#agent;
  }

  get httpsAgent(): MeshHttpsAgent {
    this.#httpsAgent ??= new MeshHttpsAgent(this.connector);
    return this.#httpsAgent;
  }

  /** Not connected yet. */
  socket(): MeshSocket {
    return new MeshSocket(this.connector);
  }

  install({ http = false }: InstallOptions = {}): () => void {
    if (this.#closing) throw new MeshError('WEFT_CLOSED', 'install() after close()');
    const undo = [installDispatcher(this.dispatcher), ...(http ? [installAgents(this.agent, this.httpsAgent)] : [])];
    const uninstall = () => undo.forEach((fn) => fn());
    this.#uninstall = uninstall;
    return uninstall;
  }

  /** No new requests; resolves when those that run have ended. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#uninstall?.();
    this.dispatcher.refuse();
    this.#httpsAgent?.destroy();
    // Idle connections of the application's own TLS are nobody's any more.
    void this.#secure?.close();
    await this.#inFlight.drained(this.#drainTimeoutMs);
    this.#agent?.destroy();
    this.#mirrors.close();
    this.#grpcTransport.close();
    await this.#transport.close();
  }
}
