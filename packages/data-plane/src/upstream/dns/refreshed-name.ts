// A name that is asked for again and again.
import type { Clock, Timer } from '@weft/spiffe';
import type { DnsConfig } from '../../resource/cluster-config.js';
import { resolveName, type Lookup, type Resolution } from './resolver.js';

export interface RefreshOptions {
  readonly clock: Clock;
  random(): number;
  readonly lookup: Lookup;
  readonly config: DnsConfig;
  /** Also for what was found before. False: it is not asked for any more. */
  onResolved(resolution: Resolution): boolean | void;
  onFailure(error: Error): boolean | void;
}

export class RefreshedName {
  readonly #hostname: string;
  readonly #options: RefreshOptions;
  #failures = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(hostname: string, options: RefreshOptions) {
    this.#hostname = hostname;
    this.#options = options;
    void this.#ask();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #ask(): Promise<void> {
    const { config, lookup, onResolved, onFailure, clock } = this.#options;
    let waitMs: number;
    let wanted: boolean | void;
    try {
      const resolution = await resolveName(lookup, this.#hostname, config);
      if (this.#closed) return;
      this.#failures = 0;
      waitMs = config.respectTtl && resolution.ttlMs ? resolution.ttlMs : config.refreshMs;
      wanted = onResolved(resolution);
    } catch (error) {
      if (this.#closed) return;
      waitMs = this.#afterFailure();
      wanted = onFailure(error instanceof Error ? error : new Error(String(error)));
    }
    // What was told may have closed it.
    if (wanted !== false && !this.#closed) this.#timer = clock.setTimeout(() => void this.#ask(), Math.max(1, waitMs));
  }

  /** Envoy's jittered exponential back-off between the two rates, where they are configured. */
  #afterFailure(): number {
    const { failureRefresh, refreshMs } = this.#options.config;
    if (!failureRefresh) return refreshMs;
    const most = Math.min(failureRefresh.baseMs * 2 ** this.#failures++, failureRefresh.maxMs);
    return Math.floor(this.#options.random() * most);
  }
}
