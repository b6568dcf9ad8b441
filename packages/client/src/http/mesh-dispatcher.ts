// The mesh as an undici Dispatcher: for fetch, undici's own functions and interceptors.
import { MeshError, type Lookup, type OutboundEngine } from '@weft/data-plane/internal';
import { Agent, Dispatcher, errors } from 'undici';
import { DispatchStream } from './dispatch-stream.js';
import { refuseConnect, type ExchangeServices } from './http-exchange.js';
import { handlerOf } from './legacy-handler.js';
import { Passage } from './passage.js';
import { requestBody, type BodyInput } from './request-body.js';
import { parseTarget, requestHead, withQuery } from './target.js';

export interface MeshDispatcherOptions {
  readonly services: ExchangeServices;
  readonly passage: Passage;
  /** Bytes of a streamed request body kept for retries. */
  readonly replayBytes: number;
}

type Options = Dispatcher.DispatchOptions & { body?: BodyInput };

export class MeshDispatcher extends Dispatcher {
  readonly #services: ExchangeServices;
  readonly #engine: OutboundEngine;
  readonly #passage: Passage;
  readonly #replayBytes: number;
  #closed = false;
  #ownFallback: Agent | undefined;
  /** Where requests to other hosts go. */
  fallback: () => Dispatcher | undefined = () => undefined;
  /** What closing the dispatcher closes; the mesh sets it. */
  onClose: () => Promise<void> = async () => undefined;

  constructor({ services, passage, replayBytes }: MeshDispatcherOptions) {
    super();
    this.#services = services;
    this.#engine = services.engine;
    this.#passage = passage;
    this.#replayBytes = replayBytes;
  }

  override dispatch(options: Options, given: Dispatcher.DispatchHandler): boolean {
    const handler = handlerOf(given);
    if (this.#closed) {
      handler.onResponseError?.(null as never, new MeshError('WEFT_CLOSED', 'no requests after close()'));
      return true;
    }
    if (!options.origin) throw new errors.InvalidArgumentError('opts.origin must be a non-empty string or URL.');
    const target = parseTarget(options.origin);
    if (target.scheme === 'https') {
      this.#secure(target.authority, options, handler);
      return true;
    }
    const lookup = this.#engine.lookup(target.scheme, target.authority);
    if (lookup.kind === 'mesh') {
      const stream = this.#stream(options, handler);
      stream.announce();
      stream.start(lookup.snapshot);
    } else if (lookup.kind === 'absent') {
      this.#outside(lookup.error, target.authority, options, handler);
    } else if (this.#passage.allowed(target.authority)) {
      // Not announced yet: whoever gets the request in the end announces it.
      void this.#passage.settle(lookup, target.authority).then((settled) => this.#dispatchSettled(settled, target.authority, options, handler));
    } else {
      const stream = this.#stream(options, handler);
      stream.announce();
      lookup.wait().then(
        (settled) => (settled.kind === 'mesh' ? stream.start(settled.snapshot) : stream.fail(settled.error)),
        (error: unknown) => stream.fail(error as Error),
      );
    }
    return true;
  }

  /** From now on every request fails. */
  refuse(): void {
    this.#closed = true;
  }

  override close(done: () => void): void;
  override close(): Promise<void>;
  override close(done?: () => void): Promise<void> | void {
    this.#closed = true;
    const closed = this.onClose().then(() => this.#ownFallback?.close());
    if (!done) return closed;
    closed.finally(() => done()).catch(() => undefined);
  }

  override destroy(error: Error | null, done: () => void): void;
  override destroy(done: () => void): void;
  override destroy(error: Error | null): Promise<void>;
  override destroy(): Promise<void>;
  override destroy(first?: Error | null | (() => void), second?: () => void): Promise<void> | void {
    const done = typeof first === 'function' ? first : second;
    return done ? this.close(done) : this.close();
  }

  /** For requests that are not the mesh's. */
  passOn(): Dispatcher {
    const other = this.fallback();
    if (other && other !== this) return other;
    this.#ownFallback ??= new Agent();
    return this.#ownFallback;
  }

  /** Bytes to the mesh. Nothing is announced before it is known whose they are. */
  #secure(authority: string, options: Options, handler: Dispatcher.DispatchHandler): void {
    this.#services.secureFor(authority).then(
      (dispatcher) => (dispatcher ?? this.passOn()).dispatch(options as Dispatcher.DispatchOptions, handler),
      (error: unknown) => handler.onResponseError?.(null as never, error as Error),
    );
  }

  #stream(options: Options, handler: Dispatcher.DispatchHandler): DispatchStream {
    const refused = refuseConnect(options.method);
    const head = requestHead(parseTarget(options.origin!), options.method, withQuery(options.path, options.query), options.headers, upgradeOf(options.upgrade));
    const { headersTimeout, bodyTimeout, blocking, reset } = options;
    const stream = new DispatchStream(this.#services, head, requestBody(options.body, this.#replayBytes), { headersTimeout, bodyTimeout, blocking, reset }, handler);
    if (refused) stream.fail(refused);
    return stream;
  }

  #dispatchSettled(settled: Exclude<Lookup, { kind: 'pending' }>, authority: string, options: Options, handler: Dispatcher.DispatchHandler): void {
    if (settled.kind === 'absent') return this.#outside(settled.error, authority, options, handler);
    const stream = this.#stream(options, handler);
    stream.announce();
    stream.start(settled.snapshot);
  }

  #outside(error: Error, authority: string, options: Options, handler: Dispatcher.DispatchHandler): void {
    if (this.#passage.allows(error, authority)) this.passOn().dispatch(options as Dispatcher.DispatchOptions, handler);
    else handler.onResponseError?.(null as never, error);
  }
}

/** @throws undici's InvalidArgumentError: `true` names no protocol. */
function upgradeOf(upgrade: Options['upgrade']): string | undefined {
  if (upgrade === true) throw new errors.InvalidArgumentError('upgrade must be a string');
  return upgrade || undefined;
}
