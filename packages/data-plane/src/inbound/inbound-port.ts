// The port between the inbound engine and server adapters (node:http, Express, Fastify, grpc-js).
import type { BodyPipe } from '../filter/body-pipe.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { ResponseHead, StreamEnd } from '../stream/response-head.js';
import type { PeerIdentity, StreamInfo } from '../stream/stream-info.js';

/** Facts of one accepted connection, fixed before its first request. */
export interface ConnectionInfo {
  remoteAddress: string;
  remotePort: number;
  /** The peer itself as `IP:port`, where a PROXY protocol header told of another. */
  directRemote?: string;
  localAddress: string;
  localPort: number;
  /** Both ends as `IP:port`, made once per connection where the adapter does. */
  remote?: string;
  local?: string;
  /** Absent on plain text, and where the client showed no certificate. */
  peer?: PeerIdentity;
  /** URI of the certificate that this side showed; made when it is asked for. */
  localUriSan?: () => string;
  tls: boolean;
  mutualTls: boolean;
  requestedServerName: string;
  applicationProtocol: string;
}

/** The bodies of an adapter's requests, for filters that want to see one. One object an adapter, given with each message. */
export interface InboundBodies<Message> {
  hasBody(message: Message): boolean;
  /** The handler is to read what comes out of this pipe instead of what arrives. From within `decode` or before its promise is settled. */
  read(message: Message, pipe: BodyPipe): void;
}

/** How far a request is. */
export interface InboundProgress {
  /** Its last byte is here. */
  readonly requestComplete: boolean;
  /** Of both bodies, so far. */
  readonly bytes: number;
}

/** One request at a server. */
export interface InboundStream {
  readonly info: StreamInfo;
  /**
   * For the response's `endpoint-load-metrics` (HTTP) or the trailers' `endpoint-load-metrics-bin` (gRPC), unless the application said its own.
   * Undefined: this caller is not told.
   */
  readonly loadReport: string | undefined;
  /**
   * Runs route and filters over the head that was given to `open`; the head is what the application must see afterwards.
   * `undefined` = call the handler; a reply = answer with it instead. Synchronous where no filter waits.
   */
  decode(): LocalReply | undefined | Promise<LocalReply | undefined>;
  /** For adapters that must refuse a request themselves, instead of `decode` or after it: so that it is counted as what it is. */
  refuse(reply: LocalReply): LocalReply;
  /** Runs the handler inside the request's context (trace, deadline, cancellation). */
  run<T>(handler: () => T): T;
  /** The handler's (or the local reply's) head goes out: response filters may change it. With a pipe where the body has to pass filters, too. */
  encode(head: ResponseHead): BodyPipe | undefined;
  /** Whether a filter may want the response's body; told after `decode`. */
  readonly filtersResponse: boolean;
  /** Set by the adapter where it can: the request took too long; answer with this, or reset where the response has begun. */
  abort: ((reply: LocalReply) => void) | undefined;
  /** Whether the listener limits how long requests take: adapters then set `progress`, together with `abort`. */
  readonly limited: boolean;
  progress: InboundProgress | undefined;
  /** Exactly once: response complete, or the caller went away (`cancelled`). `bytesReceived` is the request's body. */
  end(end: StreamEnd & { status: number; cancelled: boolean }): void;
}
