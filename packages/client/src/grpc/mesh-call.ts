// One call of the application: grpc-js's Call on one side, the engine's port on the other. All four kinds of calls.
import { grpc, grpcStatusOf, HeaderMap, MeshError, UpstreamConnectError, type BodyPipe, type Downstream, type GrpcTransport, type LocalReply, type Lookup, type MirrorAttempt, type OutboundEngine, type OutboundListenerSnapshot, type OutboundStream, type RequestHead, type UpstreamAttempt } from '@weft/data-plane/internal';
import type { Running } from '../in-flight.js';
import type { Mirrors } from '../mirrors.js';
import { CallAttempt, type AttemptListener } from './call-attempt.js';
import type { Call, CallCredentials, InterceptingListener, MessageContext, Metadata, StatusObject } from './call-types.js';
import { FilteredRequest, FilteredResponse } from './filtered-messages.js';
import { MessageQueue } from './message-queue.js';
import { headersOf, metadataOf, type RequestMetadata } from './metadata.js';

export interface CallServices {
  readonly engine: OutboundEngine;
  readonly transport: GrpcTransport;
  readonly mirrors: Mirrors;
  started(running: Running): void;
  ended(running: Running): void;
}

/** What all calls of one channel have in common. */
export interface CallChannel {
  /** Shown as the peer until there is one. */
  readonly target: string;
  /** Bytes of a received message; -1 = no limit. */
  readonly maxReceiveBytes: number;
  readonly maxSendBytes: number;
  readonly metadata: RequestMetadata;
}

export interface CallOptions {
  readonly method: string;
  readonly authority: string;
  /** Milliseconds since the epoch, or Infinity. */
  readonly deadline: number;
  readonly lookup: Lookup;
  /** For a name that turns out not to be the mesh's: a call on an ordinary channel, or undefined where it may not leave. */
  outside(error: Error): Call | undefined;
}

/** gRPC's own default for what a call keeps for its retries. */
const replayBytes = 1024 * 1024;
let numberOfCalls = 0;

/** Of a mirror: everything is read, for only then does its status come. */
const dropped: AttemptListener = {
  onRequestSent() {},
  onForward: ({ call }) => call.startRead(),
  onMessage: ({ call }) => call.startRead(),
  onStatus() {},
};

export class MeshCall implements Call, Downstream, AttemptListener, Running {
  readonly #services: CallServices;
  readonly #channel: CallChannel;
  readonly #options: CallOptions;
  readonly #number = ++numberOfCalls;
  #queue = new MessageQueue(replayBytes);
  #filteredRequest: FilteredRequest | undefined;
  #filteredResponse: FilteredResponse | undefined;
  /** While the name is looked up. */
  #waiting: AbortController | undefined;
  #listener: InterceptingListener | undefined;
  #metadata: Metadata | undefined;
  #credentials: CallCredentials | undefined;
  #stream: OutboundStream | undefined;
  #attempt: CallAttempt | undefined;
  #committed = false;
  #requestSent = false;
  #readWanted = false;
  #over = false;
  #deadlineTimer: NodeJS.Timeout | undefined;
  /** The call of an ordinary channel that took over. */
  #outside: Call | undefined;

  constructor(services: CallServices, channel: CallChannel, options: CallOptions) {
    this.#services = services;
    this.#channel = channel;
    this.#options = options;
  }

  // grpc-js's Call.

  start(metadata: Metadata, listener: InterceptingListener): void {
    this.#metadata = metadata;
    this.#listener = listener;
    this.#services.started(this);
    const { lookup, deadline } = this.#options;
    if (lookup.kind === 'mesh' && !this.#credentials) return this.#begin(lookup.snapshot);
    if (deadline !== Infinity) {
      this.#deadlineTimer = setTimeout(() => this.cancelWithStatus(grpc.status.DEADLINE_EXCEEDED, 'the deadline passed before there was configuration for the call'), Math.max(0, deadline - Date.now()));
      this.#deadlineTimer.unref();
    }
    this.#startLater().catch((error: unknown) => this.#end({ code: grpc.status.UNAVAILABLE, details: (error as Error).message, metadata: new grpc.Metadata() }));
  }

  sendMessageWithContext(context: MessageContext, message: Buffer): void {
    if (this.#outside) return this.#outside.sendMessageWithContext(context, message);
    const { maxSendBytes } = this.#channel;
    if (maxSendBytes >= 0 && message.length > maxSendBytes) {
      return this.cancelWithStatus(grpc.status.RESOURCE_EXHAUSTED, `the message of ${message.length} bytes is longer than the ${maxSendBytes} that may be sent`);
    }
    const outgoing = { message, flags: context.flags, callback: context.callback };
    if (this.#filteredRequest) return this.#filteredRequest.write(outgoing);
    this.#queue.add(outgoing);
    this.#attempt?.pump();
  }

  halfClose(): void {
    if (this.#outside) return this.#outside.halfClose();
    if (this.#filteredRequest) return this.#filteredRequest.end();
    this.#queue.close();
    this.#attempt?.pump();
  }

  startRead(): void {
    if (this.#outside) return this.#outside.startRead();
    this.#readWanted = true;
    this.#read();
  }

  cancelWithStatus(code: number, details: string): void {
    if (this.#outside) return this.#outside.cancelWithStatus(code, details);
    if (this.#over) return;
    this.#end({ code, details, metadata: new grpc.Metadata() });
    this.#waiting?.abort(new Error(details));
    this.#stream?.cancel(new Error(details));
  }

  giveUp(reason: Error): void {
    this.cancelWithStatus(grpc.status.UNAVAILABLE, reason.message);
  }

  getPeer(): string {
    return this.#outside?.getPeer() ?? this.#attempt?.call.getPeer() ?? this.#channel.target;
  }

  getCallNumber(): number {
    return this.#number;
  }

  getAuthContext(): ReturnType<Call['getAuthContext']> {
    return this.#outside?.getAuthContext() ?? this.#attempt?.call.getAuthContext() ?? null;
  }

  setCredentials(credentials: CallCredentials): void {
    this.#credentials = credentials;
  }

  // The engine's Downstream.

  get replayable(): boolean {
    return !this.#committed && this.#queue.replayable;
  }

  /** Whether the application will send a message nobody knows before it did. */
  readonly hasBody = true;

  readBody(pipe: BodyPipe): void {
    const given = this.#queue;
    this.#queue = new MessageQueue(replayBytes);
    this.#filteredRequest = new FilteredRequest(pipe, this.#queue, () => this.#attempt?.pump());
    for (let i = 0; i < given.length; i++) this.#filteredRequest.write(given.get(i)!);
    if (given.closed) this.#filteredRequest.end();
  }

  filterResponse(pipe: BodyPipe): void {
    this.#filteredResponse = new FilteredResponse(pipe, {
      read: () => this.#attempt?.call.startRead(),
      onMessage: (message) => void (this.#over || this.#listener!.onReceiveMessage(message)),
      onEnd: (trailers) => {
        if (this.#close()) this.#listener!.onReceiveStatus(statusOf(trailers));
      },
    });
  }

  get bytesSent(): number {
    return this.#queue.bytes;
  }

  limitReplay(bytes: number): void {
    this.#queue.limitReplay(bytes);
  }

  connect(attempt: UpstreamAttempt): void {
    this.#filteredRequest?.open();
    this.#connect(attempt, this.#queue, this);
  }

  whenWhole(send: () => void): void {
    this.#queue.whenWhole(send);
  }

  mirror(attempt: MirrorAttempt): void {
    this.#services.mirrors.add(attempt);
    this.#connect(attempt, this.#queue.copy(), dropped);
  }

  #connect(attempt: UpstreamAttempt, queue: MessageQueue, owner: AttemptListener): void {
    const { head, deadline } = attempt;
    const until = deadline === Infinity ? Infinity : Date.now() + (deadline - performance.now());
    let channel: ReturnType<GrpcTransport['channel']>;
    let call: Call;
    try {
      channel = this.#services.transport.channel(attempt.host, attempt.cluster);
      call = channel.createCall(head.path, until, head.authority, null, 0);
    } catch (error) {
      const kind = error instanceof UpstreamConnectError ? error.kind : 'reset-before-request';
      attempt.onFailure({ kind, message: (error as Error).message, cause: (error as Error).cause });
      return;
    }
    const made = new CallAttempt(owner, attempt, call, queue);
    if (owner === this) this.#attempt = made;
    made.start(this.#channel.metadata.of(head.headers, this.#metadata!.getOptions()), channel, attempt.cluster.config.connectTimeoutMs);
  }

  reply(reply: LocalReply): void {
    const headers = new HeaderMap();
    for (const [name, value] of reply.headers ?? []) headers.add(name, value);
    const details = reply.error?.message ?? (typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body).toString());
    this.#end({ code: reply.error instanceof MeshError ? reply.error.grpcStatus : grpcStatusOf(reply), details: details || reply.details, metadata: metadataOf(headers) });
  }

  breakOff(error: Error): void {
    const status = this.#attempt?.failed;
    this.#end(status ?? { code: error instanceof MeshError ? error.grpcStatus : grpc.status.UNAVAILABLE, details: error.message, metadata: new grpc.Metadata() });
  }

  // The present attempt.

  onRequestSent(attempt: CallAttempt): void {
    if (attempt !== this.#attempt) return;
    this.#requestSent = true;
    this.#stream?.requestEnd(this.#queue.bytes);
  }

  onForward(attempt: CallAttempt, metadata: Metadata): void {
    if (this.#over) return;
    // With hedging, not always the newest.
    this.#attempt = attempt;
    this.#committed = true;
    this.#queue.commit();
    this.#listener!.onReceiveMetadata(metadata);
    this.#filteredResponse?.open();
    this.#read();
  }

  onMessage(attempt: CallAttempt, message: Buffer): void {
    if (attempt !== this.#attempt || this.#over) return;
    const { maxReceiveBytes } = this.#channel;
    if (maxReceiveBytes >= 0 && message.length > maxReceiveBytes) {
      return this.cancelWithStatus(grpc.status.RESOURCE_EXHAUSTED, `Received message larger than max (${message.length} vs ${maxReceiveBytes})`);
    }
    if (this.#filteredResponse) this.#filteredResponse.receive(message);
    else this.#listener!.onReceiveMessage(message);
  }

  onStatus(attempt: CallAttempt, status: StatusObject): void {
    this.#attempt = attempt;
    // grpc-js tells it in a turn of its own already.
    if (this.#filteredResponse) return this.#filteredResponse.end(trailersOf(status));
    if (this.#close()) this.#listener!.onReceiveStatus(status);
  }

  async #startLater(): Promise<void> {
    if (this.#credentials) this.#metadata = await this.#withCredentials(this.#credentials);
    if (this.#over) return;
    const { lookup } = this.#options;
    const settled = lookup.kind === 'pending' ? await lookup.wait((this.#waiting = new AbortController()).signal) : lookup;
    if (this.#over) return;
    if (settled.kind === 'mesh') return this.#begin(settled.snapshot);
    const outside = this.#options.outside(settled.error);
    if (!outside) return this.#end({ code: settled.error instanceof MeshError ? settled.error.grpcStatus : grpc.status.UNAVAILABLE, details: settled.error.message, metadata: new grpc.Metadata() });
    this.#leave(outside);
  }

  async #withCredentials(credentials: CallCredentials): Promise<Metadata> {
    const { authority, method } = this.#options;
    const service = method.slice(0, method.lastIndexOf('/'));
    const generated = await credentials.generateMetadata({ method_name: method.slice(method.lastIndexOf('/') + 1), service_url: `https://${authority}${service}` });
    const merged = this.#metadata!.clone();
    merged.merge(generated);
    return merged;
  }

  #begin(snapshot: OutboundListenerSnapshot): void {
    clearTimeout(this.#deadlineTimer);
    const { method, authority, deadline } = this.#options;
    const head: RequestHead = { protocol: 'grpc', method: 'POST', scheme: 'http', authority, path: method, headers: headersOf(this.#metadata!) };
    const stream = this.#services.engine.start(snapshot, head, this, deadline === Infinity ? {} : { deadline: performance.now() + (deadline - Date.now()) });
    this.#stream = stream;
    // Either may have happened while the engine was still starting.
    if (this.#over) stream.cancel();
    else if (this.#requestSent) stream.requestEnd(this.#queue.bytes);
  }

  /** Hands everything that came so far to an ordinary call. */
  #leave(call: Call): void {
    clearTimeout(this.#deadlineTimer);
    this.#over = true;
    this.#services.ended(this);
    this.#outside = call;
    call.start(this.#metadata!, this.#listener!);
    if (this.#readWanted) call.startRead();
    const send = (index: number) => {
      const message = this.#queue.get(index);
      if (!message) {
        if (this.#queue.closed) call.halfClose();
        return;
      }
      call.sendMessageWithContext({ ...(message.flags !== undefined && { flags: message.flags }), callback: (error) => { message.callback?.(error); send(index + 1); } }, message.message);
    };
    send(0);
  }

  #read(): void {
    if (!this.#readWanted || !this.#committed) return;
    this.#readWanted = false;
    if (this.#filteredResponse) this.#filteredResponse.want();
    else this.#attempt!.call.startRead();
  }

  #end(status: StatusObject): void {
    // Never from inside of a call of the application's: its callback must not run before it has the call in hand.
    if (this.#close()) process.nextTick(() => this.#listener?.onReceiveStatus(status));
  }

  /** False where the call was over before. */
  #close(): boolean {
    if (this.#over) return false;
    this.#over = true;
    clearTimeout(this.#deadlineTimer);
    this.#services.ended(this);
    return true;
  }
}

function trailersOf({ code, details, metadata }: StatusObject): HeaderMap {
  const trailers = headersOf(metadata);
  trailers.set('grpc-status', String(code));
  if (details !== '') trailers.set('grpc-message', details);
  return trailers;
}

function statusOf(trailers: HeaderMap): StatusObject {
  const code = Number(trailers.get('grpc-status') ?? 2);
  const details = trailers.get('grpc-message') ?? '';
  trailers.remove('grpc-status');
  trailers.remove('grpc-message');
  return { code, details, metadata: metadataOf(trailers) };
}
