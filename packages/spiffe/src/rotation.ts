import type { Clock, Timer } from './clock.js';
import { silentLogger, type Logger } from './logger.js';
import type { X509Svid } from './x509-svid.js';

export interface RotationOptions {
  readonly clock: Clock;
  /** Gets the next SVID and makes it current. */
  readonly renew: (signal: AbortSignal) => Promise<X509Svid>;
  readonly logger?: Logger;
  /** In [0, 1). */
  readonly random?: () => number;
}

// No single timer runs longer than this: a laptop that slept or a clock that was set is noticed within a minute.
const longestWaitMs = 60_000;

/**
 * Renews an SVID at half of its lifetime ± 10 % (so that a fleet that started together does not renew together), then again and
 * again with backoff, also past expiry: the authority may come back.
 */
export class Rotation {
  readonly #clock: Clock;
  readonly #renew: (signal: AbortSignal) => Promise<X509Svid>;
  readonly #logger: Logger;
  readonly #random: () => number;
  readonly #abort = new AbortController();
  #svid: X509Svid | undefined;
  #obtainedAt = 0;
  #failures = 0;
  #dueAt = 0;
  #timer: Timer | undefined;
  #renewing = false;
  #again = false;

  constructor({ clock, renew, logger = silentLogger, random = Math.random }: RotationOptions) {
    this.#clock = clock;
    this.#renew = renew;
    this.#logger = logger;
    this.#random = random;
  }

  /**
   * From now on this SVID is the one to renew.
   * @param obtainedAt its life counts from here and not from `notBefore`, which authorities set back by up to minutes: an SVID for
   * ten seconds would be past its half when it arrives.
   */
  start(svid: X509Svid, obtainedAt: number = this.#clock.now()): void {
    this.#svid = svid;
    this.#obtainedAt = obtainedAt;
    this.#failures = 0;
    this.#schedule(renewAt(obtainedAt, svid.notAfter, this.#random()));
  }

  /** Renews within `spreadMs` (a random part of it) instead of at half life. During a renewal: once more right after it. */
  renewSoon(spreadMs: number): void {
    if (this.#renewing) this.#again = true;
    else this.#schedule(Math.min(this.#dueAt || Infinity, this.#clock.now() + spreadMs * this.#random()));
  }

  close(): void {
    this.#timer?.cancel();
    this.#abort.abort(new Error('the SVID source is closed'));
  }

  #schedule(dueAt: number): void {
    this.#timer?.cancel();
    if (this.#abort.signal.aborted) return;
    this.#dueAt = dueAt;
    const wait = Math.max(0, dueAt - this.#clock.now());
    this.#timer = this.#clock.setTimeout(() => {
      if (this.#clock.now() < dueAt) this.#schedule(dueAt);
      else void this.#run();
    }, Math.min(wait, longestWaitMs));
  }

  async #run(): Promise<void> {
    this.#renewing = true;
    try {
      const svid = await this.#renew(this.#abort.signal);
      this.#renewing = false;
      this.start(svid);
    } catch (error) {
      this.#renewing = false;
      if (this.#abort.signal.aborted) return;
      this.#failed(error);
    }
    if (this.#again) {
      this.#again = false;
      this.renewSoon(0);
    }
  }

  #failed(error: unknown): void {
    const svid = this.#svid!;
    const lifetime = svid.notAfter - this.#obtainedAt;
    const delay = retryDelay(lifetime, this.#failures++, this.#random());
    const left = svid.notAfter - this.#clock.now();
    const fields = { err: error, spiffeId: svid.id.toString(), notAfter: new Date(svid.notAfter).toISOString(), retryInMs: Math.round(delay) };
    if (left <= 0) this.#logger.error(fields, 'the SVID has expired and cannot be renewed');
    else if (left < lifetime / 4) this.#logger.error(fields, 'the SVID is about to expire and cannot be renewed');
    else this.#logger.warn(fields, 'the SVID cannot be renewed yet');
    this.#schedule(this.#clock.now() + delay);
  }
}

/** Half of the lifetime ± 10 % of that half. @param random in [0, 1). */
export function renewAt(obtainedAt: number, notAfter: number, random: number): number {
  return obtainedAt + ((notAfter - obtainedAt) / 2) * (0.9 + 0.2 * random);
}

// 1 s, growing by 1.6 up to a minute (gRPC's connection backoff), but scaled down for SVIDs that live for seconds only.
function retryDelay(lifetime: number, failures: number, random: number): number {
  const first = Math.max(100, Math.min(1000, lifetime / 40));
  const longest = Math.max(first, Math.min(60_000, lifetime / 10));
  return Math.min(longest, first * 1.6 ** failures) * (0.8 + 0.4 * random);
}
