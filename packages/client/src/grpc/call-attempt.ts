// One attempt of a call at one host: an inner call on that host's channel.
import { grpc, grpcFailure, type UpstreamAttempt } from '@weft/data-plane/internal';
import type { ChannelInterface } from '@grpc/grpc-js';
import type { Call, InterceptingListener, Metadata, StatusObject } from './call-types.js';
import type { MessageQueue, OutgoingMessage } from './message-queue.js';
import { GrpcResponseHead } from './metadata.js';

const engineIsDueMs = 50;

/** What an attempt tells its call. Only the present attempt is heard. */
export interface AttemptListener {
  onRequestSent(attempt: CallAttempt): void;
  /** From here on the response is the caller's. */
  onForward(attempt: CallAttempt, metadata: Metadata): void;
  onMessage(attempt: CallAttempt, message: Buffer): void;
  onStatus(attempt: CallAttempt, status: StatusObject): void;
}

function connected(channel: Pick<ChannelInterface, 'getConnectivityState'>): boolean {
  return channel.getConnectivityState(false) === grpc.connectivityState.READY;
}

export class CallAttempt implements InterceptingListener {
  readonly call: Call;
  readonly #owner: AttemptListener;
  readonly #attempt: UpstreamAttempt;
  readonly #queue: MessageQueue;
  #next = 0;
  #writing = false;
  #halfClosed = false;
  #state: 'waiting' | 'forwarding' | 'over' = 'waiting';
  #received = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #connectTimer: NodeJS.Timeout | undefined;
  /** The status that broke a forwarded response off, for the call to pass on as it came. */
  failed: StatusObject | undefined;

  constructor(owner: AttemptListener, attempt: UpstreamAttempt, call: Call, queue: MessageQueue) {
    this.#owner = owner;
    this.#attempt = attempt;
    this.call = call;
    this.#queue = queue;
    attempt.abort = (reason) => this.#abort(reason);
  }

  /** @param channel asked when `connectTimeoutMs` is over: grpc-js itself would wait for as long as TCP does. */
  start(metadata: Metadata, channel: Pick<ChannelInterface, 'getConnectivityState'>, connectTimeoutMs: number): void {
    this.#touch();
    // grpc-js does not say when a call gets its connection.
    this.#attempt.onReady();
    this.call.start(metadata, this);
    this.pump();
    if (connected(channel)) return;
    this.#connectTimer = setTimeout(() => {
      if (connected(channel) || this.#state !== 'waiting') return;
      const message = `no connection in ${connectTimeoutMs} ms`;
      this.#attempt.onFailure({ kind: 'connect-failure', message });
      this.#abort(new Error(message));
    }, connectTimeoutMs);
    this.#connectTimer.unref();
  }

  /** Sends what there is, one message at a time: grpc-js holds a single pending message and silently loses the one before. */
  pump(): void {
    if (this.#halfClosed || this.#state === 'over') return;
    const message = this.#writing ? undefined : this.#queue.get(this.#next);
    if (message) this.#write(message);
    if (this.#halfClosed || !this.#queue.closed || this.#next + (this.#writing ? 1 : 0) !== this.#queue.length) return;
    // Not only when the last message is through: told now, its frame says that it is the last, and no other has to be sent and read.
    this.#halfClosed = true;
    this.call.halfClose();
    this.#owner.onRequestSent(this);
  }

  #write(message: OutgoingMessage): void {
    this.#writing = true;
    this.call.sendMessageWithContext({
      ...(message.flags !== undefined && { flags: message.flags }),
      callback: () => {
        this.#writing = false;
        this.#next++;
        // Of a hedge that lost, nothing may be forgotten that the winner has yet to send.
        if (this.#state !== 'over') this.#queue.sent(this.#next);
        const { callback } = message;
        message.callback = undefined;
        callback?.();
        this.pump();
      },
    }, message.message);
  }

  onReceiveMetadata(metadata: Metadata): void {
    if (this.#state !== 'waiting') return;
    this.#touch();
    const head = new GrpcResponseHead(metadata);
    if (this.#attempt.onHead(head) === 'discard') return this.#abort(new Error('another attempt follows'));
    this.#state = 'forwarding';
    this.#owner.onForward(this, head.metadata);
  }

  onReceiveMessage(message: Buffer): void {
    if (this.#state !== 'forwarding') return;
    this.#touch();
    if (this.#received === 0) this.#attempt.onFirstData?.();
    this.#received += message.length;
    this.#owner.onMessage(this, message);
  }

  onReceiveStatus(status: StatusObject): void {
    const was = this.#state;
    this.#state = 'over';
    this.#stopTimers();
    if (was === 'over') return;
    // The inner call's own timer for the very deadline that the engine is about to end the request with: the engine knows why, and what to answer.
    if (status.code === 4 && this.#attempt.deadline - performance.now() < engineIsDueMs) return;
    const failure = grpcFailure(status);
    if (failure) {
      this.failed = status;
      return this.#attempt.onFailure(failure);
    }
    this.#attempt.onTrailers?.(new GrpcResponseHead(status.metadata).headers);
    const bytes = { bytesSent: this.#queue.bytes, bytesReceived: this.#received };
    if (was === 'forwarding') {
      this.#attempt.onEnd({ grpcStatus: status.code, ...bytes });
      return this.#owner.onStatus(this, status);
    }
    // Only trailers: the one kind of response whose status a retry can depend on.
    const head = new GrpcResponseHead(status.metadata, status.code);
    if (this.#attempt.onHead(head) === 'discard') return;
    const { metadata } = head;
    this.#attempt.onEnd({ grpcStatus: status.code, ...bytes });
    this.#owner.onStatus(this, { ...status, metadata });
  }

  #abort(reason: Error): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#stopTimers();
    this.call.cancelWithStatus(1, reason.message);
  }

  #stopTimers(): void {
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#connectTimer);
  }

  #touch(): void {
    const { idleTimeoutMs } = this.#attempt;
    if (idleTimeoutMs === 0) return;
    if (this.#idleTimer) {
      this.#idleTimer.refresh();
      return;
    }
    this.#idleTimer = setTimeout(() => {
      this.#attempt.onFailure({ kind: 'per-try-timeout', idle: true, message: `nothing arrived for ${idleTimeoutMs} ms` });
      this.#abort(new Error('idle timeout'));
    }, idleTimeoutMs);
    this.#idleTimer.unref();
  }
}
