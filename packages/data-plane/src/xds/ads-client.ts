// The xDS client: all subscriptions of the process over one aggregated stream.
import type { Message } from '@weft/xds-api/protobuf';
import type { Clock, Timer } from '@weft/spiffe';
import type { NodeConfig } from '../bootstrap/bootstrap.js';
import { MeshError } from '../errors.js';
import type { Logger } from '../telemetry/logger.js';
import { AdsConnection, type ControlPlaneTarget } from './ads-connection.js';
import { Backoff } from './backoff.js';
import type { AdsProtocol, DiscoveryUpdate, StreamProtocol } from './protocol.js';
import { ResourceTable } from './resource-table.js';
import type { ResourceType } from './resource-type.js';
import type { ResourceWatcher, Subscription, XdsClient, XdsStatus } from './xds-client.js';

export interface AdsClientOptions {
  readonly target: ControlPlaneTarget;
  /** Sent with the first request of every stream. */
  readonly node: NodeConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  random(): number;
  /** Longest wait between attempts, milliseconds. Default 15,000. */
  readonly maxBackoffMs?: number;
  /** How long a resource that was asked for may stay unanswered before it counts as absent, milliseconds. Default 15,000 (gRPC's). */
  readonly resourceTimeoutMs?: number;
  /** gRFC A53: Listeners and Clusters that are removed stay in force. Default false. */
  readonly ignoreResourceDeletion?: boolean;
}

interface LiveStream {
  readonly connection: AdsConnection;
  /** Set when it is connected. */
  protocol: StreamProtocol | undefined;
  connectedSince: number | undefined;
  answered: boolean;
}

// A stream that lived shorter, twice in a row, is treated as a failure: a server that answers once and ends is not hammered.
const shortLivedMs = 1000;
// How long the stream of an old identity may outlive its successor's connection, where the successor has nothing to answer.
const overlapMs = 5000;

export class AdsClient implements XdsClient {
  readonly #options: AdsClientOptions;
  readonly #table: ResourceTable;
  readonly #backoff: Backoff;
  readonly #waiting = new Set<() => void>();
  #live: LiveStream | undefined;
  /** Made with a newer identity; takes over once it is connected. */
  #successor: LiveStream | undefined;
  #outgoing: { stream: LiveStream; timer: Timer } | undefined;
  #kind: AdsProtocol = 'delta';
  #agreed = false;
  #answered = false;
  #shortLived = false;
  /** Since the last answer, somebody was told that there is none. */
  #unanswered = false;
  #lastError: Error | undefined;
  /** When the first of the present failures was. */
  #failingSince: number | undefined;
  #timer: Timer | undefined;
  #flushing = false;
  #closed = false;

  constructor(options: AdsClientOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ random: () => options.random(), ...(options.maxBackoffMs !== undefined && { maxMs: options.maxBackoffMs }) });
    this.#table = new ResourceTable({ ...options, address: options.target.address });
    this.#connect();
  }

  watch<T>(type: ResourceType<T>, name: string, watcher: ResourceWatcher<T>): Subscription {
    // '*' would subscribe to the whole mesh.
    if (name === '' || name === '*') throw new TypeError(`not the name of a ${type.name}: ${JSON.stringify(name)}`);
    if (this.#closed) {
      watcher.onError(new MeshError('WEFT_CLOSED', `${type.name} ${name} cannot be followed any more`));
      return { close: () => undefined };
    }
    const close = this.#table.add(type as ResourceType<unknown>, name, watcher as ResourceWatcher<unknown>, this.#live?.connectedSince === undefined ? this.#lastError : undefined);
    this.#flushSoon();
    return { close: () => (close(), this.#flushSoon()) };
  }

  /** Resolves when the control plane answered, or is connected with nothing to ask it. Rejects when the signal aborts, with the reason. */
  ready(signal?: AbortSignal): Promise<void> {
    if (this.#answered) return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      const abort = () => {
        this.#waiting.delete(done);
        reject(this.#lastError ?? new MeshError('WEFT_NO_CONFIG', `${this.#options.target.address} did not answer`, { cause: signal?.reason }));
      };
      const done = () => {
        signal?.removeEventListener('abort', abort);
        if (this.#closed) reject(new MeshError('WEFT_CLOSED', 'while waiting for the control plane'));
        else resolve();
      };
      if (this.#closed) return done();
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.add(done);
    });
  }

  /** Why no connection can even be tried yet, for whoever waits: without an identity there is nothing to connect with. */
  delayed(reason: Error): void {
    if (this.#closed || this.#live?.connectedSince !== undefined) return;
    this.#lastError = new MeshError('WEFT_NO_CONFIG', reason.message, { cause: reason });
    this.#table.fail(this.#lastError);
  }

  /** Moves to a new connection (and so to the newest identity). The present one serves until the new one is up. */
  reconnect(): void {
    if (this.#closed || this.#live?.connectedSince === undefined) return;
    this.#successor?.connection.close();
    this.#successor = this.#open();
  }

  /** Sends what is due now and resolves when it has left: a process that ends must still be able to say that it does. */
  async flush(): Promise<void> {
    this.#flush();
    await this.#live?.connection.flushed();
  }

  status(): XdsStatus {
    const { connectedSince } = this.#live ?? {};
    return {
      servers: [{
        address: this.#options.target.address,
        connected: connectedSince !== undefined,
        protocol: this.#agreed ? this.#kind : 'unknown',
        ...(this.#lastError && { lastError: this.#lastError.message }),
        ...(connectedSince !== undefined && { connectedSince }),
      }],
      resources: this.#table.status(),
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#outgoing?.timer.cancel();
    for (const stream of [this.#live, this.#successor, this.#outgoing?.stream]) stream?.connection.close();
    this.#live = this.#successor = this.#outgoing = undefined;
    this.#table.close();
    this.#settleWaiting();
  }

  #connect(): void {
    this.#live = this.#open();
  }

  #open(): LiveStream {
    const { target, node } = this.#options;
    const stream: LiveStream = {
      connection: new AdsConnection(target, this.#kind, node, {
        onConnected: (protocol) => this.#onConnected(stream, protocol),
        onResponse: (message) => this.#onResponse(stream, message as Message),
        onEnd: ({ error, unimplemented }) => this.#onEnd(stream, error, unimplemented),
      }),
      protocol: undefined,
      connectedSince: undefined,
      answered: false,
    };
    return stream;
  }

  #onConnected(stream: LiveStream, protocol: StreamProtocol): void {
    stream.protocol = protocol;
    stream.connectedSince = this.#options.clock.now();
    if (stream === this.#successor) {
      const { clock } = this.#options;
      this.#retireOutgoing();
      // What the old stream would still send, the new one sends too: its first requests say what we hold.
      if (this.#live) this.#outgoing = { stream: this.#live, timer: clock.setTimeout(() => this.#retireOutgoing(), overlapMs) };
      this.#live = stream;
      this.#successor = undefined;
    } else if (stream !== this.#live) return;
    this.#lastError = undefined;
    this.#flush();
    if (this.#table.isEmpty) this.#answer();
  }

  #onResponse(stream: LiveStream, message: Message): void {
    const { protocol } = stream;
    if (stream !== this.#live || !protocol) return;
    stream.answered = true;
    this.#failingSince = undefined;
    this.#unanswered = false;
    this.#agreed = true;
    this.#backoff.reset();
    this.#retireOutgoing();
    try {
      this.#apply(stream, protocol, protocol.read(message));
    } catch (error) {
      // Whatever a control plane sends, the process must live: this stream is given up, the last good state stays.
      stream.connection.close();
      this.#onEnd(stream, error instanceof Error ? error : new Error(String(error)), false);
      return;
    }
    this.#answer();
  }

  #apply(stream: LiveStream, protocol: StreamProtocol, update: DiscoveryUpdate): void {
    const errors = this.#table.apply(update);
    // Of a type nobody asked for: an ACK would be a subscription to all of it.
    if (!errors || stream !== this.#live) return;
    if (errors.length > 0) this.#options.logger.warn({ typeUrl: update.typeUrl, errors }, 'rejected resources of the control plane');
    // Bounded: it travels back in one message.
    stream.connection.send(protocol.acknowledge(update, errors.length === 0, errors.length > 0 ? errors.join('; ').slice(0, 8192) : undefined));
  }

  #onEnd(stream: LiveStream, error: Error | undefined, unimplemented: boolean): void {
    if (this.#closed) return;
    if (stream === this.#outgoing?.stream) return this.#retireOutgoing();
    if (stream === this.#successor) {
      // The present stream goes on; a server that does not want its identity any more ends it, and the next one has the new identity.
      this.#successor = undefined;
      this.#options.logger.warn({ err: error }, 'cannot reconnect to the control plane with the new identity yet');
      this.#later(() => this.reconnect());
      return;
    }
    if (stream !== this.#live) return;
    this.#live = undefined;
    this.#table.stopTimers();
    if (unimplemented && this.#kind === 'delta' && !this.#agreed) {
      this.#kind = 'sotw';
      this.#connect();
      return;
    }
    this.#reconnectAfter(stream, error);
  }

  #reconnectAfter(stream: LiveStream, error: Error | undefined): void {
    const { clock, logger, target } = this.#options;
    // gRFC A57: a stream that answered and then ended is how servers drain; only one that never answered is an error.
    const shortLived = clock.now() - (stream.connectedSince ?? clock.now()) < shortLivedMs;
    const again = stream.answered && !(shortLived && this.#shortLived);
    this.#shortLived = shortLived;
    if (again) return this.#connect();
    const reason = error?.message ?? 'the stream ended without an answer';
    this.#failingSince ??= clock.now();
    const since = new Date(this.#failingSince).toISOString();
    this.#lastError = error instanceof MeshError ? error : new MeshError('WEFT_NO_CONFIG', `the control plane ${target.address} does not answer: ${reason} (since ${since})`, { cause: error });
    // Once an outage: attempts go on for as long as it lasts.
    logger[this.#unanswered ? 'debug' : 'warn']({ address: target.address, reason }, 'the control plane does not answer');
    this.#unanswered = true;
    if (!stream.answered) this.#table.fail(this.#lastError);
    if (!this.#closed) this.#later(() => this.#connect());
  }

  #later(run: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimeout(run, this.#backoff.next());
  }

  #retireOutgoing(): void {
    this.#outgoing?.timer.cancel();
    this.#outgoing?.stream.connection.close();
    this.#outgoing = undefined;
  }

  #answer(): void {
    this.#answered = true;
    this.#settleWaiting();
  }

  #settleWaiting(): void {
    for (const done of this.#waiting) done();
    this.#waiting.clear();
  }

  /** Once per tick: a snapshot that is built subscribes to many names at a time. */
  #flushSoon(): void {
    if (this.#flushing || this.#closed) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (!this.#closed) this.#flush();
    });
  }

  #flush(): void {
    const stream = this.#live;
    for (const held of this.#table.sweep()) {
      if (!stream?.protocol) continue;
      const request = stream.protocol.subscribe(held);
      if (request) stream.connection.send(request);
      this.#table.startTimers(held.typeUrl);
    }
  }
}
