// Slow start: a host that has just come gets a growing share of the load instead of its full one at once, while its caches
// and its compiler warm up.
import type { Host } from '../../upstream/host.js';

export interface SlowStartConfig {
  windowMs: number;
  /** 1 = linear; above, faster at the beginning. */
  aggression: number;
  /** 0 to 100. */
  minWeightPercent: number;
}

interface SlowStartMessage {
  slowStartWindow?: { seconds: bigint; nanos: number } | undefined;
  aggression?: { defaultValue: number } | undefined;
  minWeightPercent?: { value: number } | undefined;
}

/** Both messages of that name have these fields. Envoy's defaults: aggression 1, least weight 10 %. Throws where a value is invalid. */
export function parseSlowStart(message: SlowStartMessage | undefined): { slowStart: SlowStartConfig } | undefined {
  if (!message) return undefined;
  const { slowStartWindow, aggression, minWeightPercent } = message;
  const windowMs = slowStartWindow ? Number(slowStartWindow.seconds) * 1000 + slowStartWindow.nanos / 1e6 : 0;
  const slowStart = { windowMs, aggression: aggression?.defaultValue ?? 1, minWeightPercent: minWeightPercent?.value ?? 10 };
  if (!(windowMs > 0)) throw new Error('slow_start_config.slow_start_window must be greater than 0');
  if (!(slowStart.aggression > 0)) throw new Error(`slow_start_config.aggression must be greater than 0, is ${slowStart.aggression}`);
  if (!(slowStart.minWeightPercent >= 0 && slowStart.minWeightPercent <= 100)) throw new Error(`slow_start_config.min_weight_percent must be 0 to 100, is ${slowStart.minWeightPercent}`);
  return { slowStart };
}

export class SlowStart {
  readonly #config: SlowStartConfig;
  readonly #now: () => number;

  constructor(config: SlowStartConfig, now: () => number) {
    this.#config = config;
    this.#now = now;
  }

  /** Whether one of them is still in its window. */
  concerns(hosts: readonly Host[]): boolean {
    const from = this.#now() - this.#config.windowMs;
    return hosts.some((host) => host.availableSince > from);
  }

  /** Above 0, up to 1: what its weight is multiplied by now. */
  factor(host: Host): number {
    const { windowMs, aggression, minWeightPercent } = this.#config;
    const age = Math.max(1, this.#now() - host.availableSince);
    return age >= windowMs ? 1 : Math.max(minWeightPercent / 100, (age / windowMs) ** (1 / aggression));
  }
}
