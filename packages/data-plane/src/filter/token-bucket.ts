/** Fills steadily, as Envoy's does: not by whole portions at the end of an interval. Starts full. */
export class TokenBucket {
  readonly maxTokens: number;
  /** Tokens a millisecond. */
  readonly fillRate: number;
  readonly #now: () => number;
  #tokens: number;
  #at: number;

  constructor({ maxTokens, tokensPerFill, fillIntervalMs }: TokenBucketConfig, now: () => number) {
    this.maxTokens = maxTokens;
    this.fillRate = tokensPerFill / fillIntervalMs;
    this.#now = now;
    this.#tokens = maxTokens;
    this.#at = now();
  }

  /** All or nothing. */
  consume(tokens = 1): boolean {
    if (this.#fill() < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }

  get remaining(): number {
    return Math.floor(this.#fill());
  }

  /** How long until one token is there, milliseconds. */
  get nextTokenMs(): number {
    return Math.max(0, (1 - this.#fill()) / this.fillRate);
  }

  #fill(): number {
    const now = this.#now();
    // A clock that is set back fills nothing.
    if (now > this.#at) this.#tokens = Math.min(this.maxTokens, this.#tokens + (now - this.#at) * this.fillRate);
    this.#at = now;
    return this.#tokens;
  }
}

export interface TokenBucketConfig {
  maxTokens: number;
  tokensPerFill: number;
  fillIntervalMs: number;
}
