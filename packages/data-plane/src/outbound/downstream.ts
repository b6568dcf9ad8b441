// The port between the outbound engine and the adapters (undici, grpc-js): the engine sees heads and completions and
// returns verdicts, adapters move bytes.
import type { BodyPipe } from '../filter/body-pipe.js';
import type { HeaderLookup } from '../load-balancing/load-balancer.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead, StreamEnd, UpstreamFailure } from '../stream/response-head.js';
import type { Host, HostCluster } from '../upstream/host.js';

/** One attempt at one host. The adapter fills in `abort` before `connect` returns and reports each event once. */
export interface UpstreamAttempt {
  readonly host: Host;
  readonly cluster: HostCluster;
  /** What to send. Shared by attempts of the request except for its attempt-count header: do not change it. */
  readonly head: RequestHead;
  /** 1 for the first. */
  readonly number: number;
  /** performance.now() based; the engine ends the exchange then, adapters tell the host (`grpc-timeout`). Infinity = none. */
  readonly deadline: number;
  /** The adapter fails the attempt with `per-try-timeout` when nothing arrived for so long; 0 = off. Chunks pass the engine by, so only adapters can tell. */
  readonly idleTimeoutMs: number;
  /** To be called, where it is there, with the first bytes (or message) of the response's body. */
  readonly onFirstData: (() => void) | undefined;
  /** To be called, where it is there, with the response's trailers, before `onEnd`. */
  readonly onTrailers: ((trailers: HeaderLookup) => void) | undefined;
  /** Set by the adapter: ends the exchange with the host now (per-try timeout, hedge lost, caller gone). */
  abort: ((reason: Error) => void) | undefined;

  /** The attempt has its connection: its own timeout runs from here (or from the end of the request). */
  onReady(): void;
  /** A response below 200 is about to be passed to the caller: no other attempt can follow. */
  onInformation(): void;
  /**
   * The response's head came. `forward`: pass it (as mutated) and the body to the caller. `discard`: another attempt
   * follows; read the body away up to a limit so that the connection lives, then drop it.
   */
  onHead(head: ResponseHead): 'forward' | 'discard';
  /** The attempt ended without a head, or a forwarded response broke off. After `discard` it is not reported. */
  onFailure(failure: UpstreamFailure): void;
  /** A forwarded response is through. */
  onEnd(end: StreamEnd): void;
}

/** A copy of the request at a host of a mirror. Its whole answer is read and dropped, `onHead` always says `forward`. */
export interface MirrorAttempt extends UpstreamAttempt {
  /** Set by the adapter: told once when it is over, however it ended. */
  onOver: (() => void) | undefined;
  /** Ends it with the host now, which says nothing about the host. */
  cancel(reason: Error): void;
}

/** Implemented by adapters, one object a request. */
export interface Downstream {
  /** Whether something follows the request's head. */
  readonly hasBody: boolean;
  /** Puts into the head what the wire would say of the body, where it can be known. */
  describeBody?(head: RequestHead): void;
  /** Sends the request's body, as the application gives it, through this pipe, once and for all attempts: before any of them. */
  readBody(pipe: BodyPipe): void;
  /** Sends what attempts are told to forward through this pipe, then to the caller. From within `onHead`. */
  filterResponse(pipe: BodyPipe): void;
  /** Sends the request of this attempt to its host; the body from the start each time. With hedging, others may still run. `withoutBody`: a redirect has made it a GET. */
  connect(attempt: UpstreamAttempt, withoutBody?: boolean): void;
  /** Whether the request body can still be sent again from its start (bounded replay buffer, no stream consumed past it). */
  readonly replayable: boolean;
  /** Of the request's body, so far. */
  readonly bytesSent: number;
  /** The route says how many bytes of the body may be kept for other attempts and mirrors. Before the first `connect`. */
  limitReplay(bytes: number): void;
  /**
   * Runs `send` once the whole body can be sent another time: now for bodies at hand, else at their end. Never where the body does
   * not end or is longer than the replay buffer. At most once a request.
   */
  whenWhole(send: () => void): void;
  /** Sends the body to a mirror too; only from within `whenWhole`. The caller must not notice anything of it. */
  mirror(attempt: MirrorAttempt): void;
  /** The request ends here with this answer. Headers are already encoded by filters. */
  reply(reply: LocalReply): void;
  /** A forwarded response broke off, or ran into a timeout after its head: end the caller's stream with this error. */
  breakOff(error: Error): void;
}
