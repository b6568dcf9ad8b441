import type { LocalReply } from '../../stream/local-reply.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import type { StreamFilter } from '../http-filter.js';

export interface ConcurrencyLimit {
  /** False: the limit is reached. Each true is followed by one `end`. */
  begin(): boolean;
  /** Undefined: its caller gave up, which says nothing. */
  end(latencyMs: number | undefined): void;
}

/** One request at a limit that learns from latencies. */
export class LimitedRequest implements StreamFilter {
  readonly #refusal: LocalReply;
  readonly #limitOf: (head: RequestHead, info: StreamInfo) => ConcurrencyLimit;
  #limit: ConcurrencyLimit | undefined;
  #began = 0;

  constructor(refusal: LocalReply, limitOf: (head: RequestHead, info: StreamInfo) => ConcurrencyLimit) {
    this.#refusal = refusal;
    this.#limitOf = limitOf;
  }

  decodeHeaders(head: RequestHead, info: StreamInfo): LocalReply | undefined {
    const limit = this.#limitOf(head, info);
    if (!limit.begin()) return this.#refusal;
    this.#limit = limit;
    this.#began = performance.now();
    return undefined;
  }

  onComplete({ flags }: StreamInfo): void {
    this.#limit?.end(flags.includes('DC') ? undefined : performance.now() - this.#began);
    this.#limit = undefined;
  }
}
