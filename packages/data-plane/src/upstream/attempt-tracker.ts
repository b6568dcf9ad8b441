import type { ResponseHead } from '../stream/response-head.js';
import type { AttemptOutcome } from './attempt-outcome.js';

/** One attempt, from its start on. */
export interface AttemptTracker {
  /** The response's head, as it came. */
  head?(head: ResponseHead): void;
  /** The first bytes of the response's body, or its first message. */
  firstData?(elapsedMs: number): void;
  /** Trailers; for a gRPC response of only trailers they are its head. */
  trailers?(trailers: HeaderLookup): void;
  /** Exactly once. */
  end(outcome: AttemptOutcome): void;
}

export interface HeaderLookup {
  get(name: string): string | undefined;
}
