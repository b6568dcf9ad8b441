// One connection to a control plane with one ADS stream on it. Each attempt has a connection of its own: DNS is asked again, and
// a new identity is used at once.
import { connectivityState, status, type ChannelCredentials, type ChannelOptions, type Client, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import type { NodeConfig } from '../bootstrap/bootstrap.js';
import type { AdsProtocol, StreamProtocol } from './protocol.js';

export interface ControlPlaneTarget {
  /** As shown in status and errors. */
  readonly address: string;
  /** gRPC target. */
  readonly target: string;
  /** Awaited before every connection; rejects where there is no identity to connect with. */
  credentials(signal: AbortSignal): Promise<ChannelCredentials>;
  readonly channelOptions?: ChannelOptions;
}

export interface AdsConnectionEvents {
  /** The transport is up. Before this nothing can be sent. */
  onConnected(protocol: StreamProtocol): void;
  onResponse(message: unknown): void;
  /** Once. Unimplemented: the server does not know this variant of the protocol. */
  onEnd(end: { error: Error | undefined; unimplemented: boolean }): void;
}

const defaults: ChannelOptions = {
  // A large EDS is larger than gRPC's 4 MiB; the limit still bounds what a hostile control plane can make us hold.
  'grpc.max_receive_message_length': 16 * 1024 * 1024,
  // gRPC servers in Go close connections that ping more often (too_many_pings).
  'grpc.keepalive_time_ms': 300_000,
  'grpc.keepalive_timeout_ms': 20_000,
  // Otherwise a new attempt would share the broken connection of the last one.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
};

export class AdsConnection {
  readonly #abort = new AbortController();
  readonly #events: AdsConnectionEvents;
  #client: Client | undefined;
  #stream: ClientDuplexStream<unknown, unknown> | undefined;
  #ended = false;
  #written: Promise<void> = Promise.resolve();
  readonly #gone = new Promise<void>((resolve) => this.#abort.signal.addEventListener('abort', () => resolve(), { once: true }));

  constructor(target: ControlPlaneTarget, kind: AdsProtocol, node: NodeConfig, events: AdsConnectionEvents) {
    this.#events = events;
    Promise.all([import('./ads-wire.js'), target.credentials(this.#abort.signal)]).then(
      ([wire, credentials]) => this.#open(target, wire, kind, node, credentials),
      (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error)), false),
    );
  }

  send(message: unknown): void {
    const stream = this.#stream;
    if (stream) this.#written = new Promise((resolve) => stream.write(message, () => resolve()));
  }

  /** Resolves when what was sent has left, or the connection has ended. */
  flushed(): Promise<void> {
    return this.#ended ? Promise.resolve() : Promise.race([this.#written, this.#gone]);
  }

  /** No event comes after this. */
  close(): void {
    this.#ended = true;
    this.#dispose();
  }

  #open(target: ControlPlaneTarget, wire: typeof import('./ads-wire.js'), kind: AdsProtocol, node: NodeConfig, credentials: ChannelCredentials): void {
    if (this.#ended) return;
    const method = wire.methods[kind];
    const client = new wire.AdsGrpcClient(target.target, credentials, { ...defaults, ...target.channelOptions });
    const stream = client.makeBidiStreamRequest<unknown, unknown>(method.path, method.requestSerialize as never, method.responseDeserialize as never);
    this.#client = client;
    this.#stream = stream;
    stream.on('data', (message: unknown) => {
      if (!this.#ended) this.#events.onResponse(message);
    });
    stream.on('error', (error: ServiceError) => this.#end(error.code === status.OK ? undefined : error, error.code === status.UNIMPLEMENTED));
    stream.on('end', () => this.#end(undefined, false));
    this.#awaitConnected(client, wire.streamProtocol(kind, node));
  }

  #awaitConnected(client: Client, protocol: StreamProtocol): void {
    const channel = client.getChannel();
    const look = () => {
      if (this.#ended) return;
      const state = channel.getConnectivityState(false);
      if (state === connectivityState.READY) this.#events.onConnected(protocol);
      else channel.watchConnectivityState(state, Infinity, look);
    };
    look();
  }

  #end(error: Error | undefined, unimplemented: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#dispose();
    this.#events.onEnd({ error, unimplemented });
  }

  #dispose(): void {
    this.#abort.abort(new Error('the connection is closed'));
    this.#stream?.on('error', () => undefined);
    this.#stream?.cancel();
    this.#client?.close();
  }
}
