// What the process dials, by Listener name: subscribed on first use, kept current, forgotten when idle.
import type { Timer } from '@weft/spiffe';
import type { ListenerSource, ListenerState } from '../outbound/engine.js';
import { OutboundListenerEntry, type ListenerServices } from './outbound-listener-entry.js';

export interface OutboundListenersOptions extends ListenerServices {
  /** How many names are followed at once. Default 1000. The one unused longest makes room. */
  maxNames?: number;
  /** A name that nothing was sent to for so long is forgotten, milliseconds. Default 600,000; 0 = never. */
  idleMs?: number;
}

export class OutboundListeners implements ListenerSource {
  readonly #options: OutboundListenersOptions;
  readonly #entries = new Map<string, OutboundListenerEntry>();
  #timer: Timer | undefined;

  constructor(options: OutboundListenersOptions) {
    this.#options = options;
  }

  /** Subscribes on first use; the state may have settled already when this returns. */
  get(listenerName: string): ListenerState {
    let entry = this.#entries.get(listenerName);
    if (!entry) {
      const { maxNames = 1000 } = this.#options;
      if (this.#entries.size >= maxNames) this.#evictOldest();
      entry = new OutboundListenerEntry(listenerName, this.#options);
      this.#entries.set(listenerName, entry);
      this.#schedule();
    }
    entry.lastUsed = this.#options.clock.now();
    return entry;
  }

  /** Names that are followed now. */
  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  close(): void {
    this.#timer?.cancel();
    for (const entry of this.#entries.values()) entry.close();
    this.#entries.clear();
  }

  #evictOldest(): void {
    let oldest: OutboundListenerEntry | undefined;
    for (const entry of this.#entries.values()) if (!oldest || entry.lastUsed < oldest.lastUsed) oldest = entry;
    if (oldest) this.#evict(oldest);
  }

  #evict(entry: OutboundListenerEntry): void {
    this.#entries.delete(entry.name);
    entry.close();
  }

  #schedule(): void {
    const { clock, idleMs = 600_000 } = this.#options;
    if (this.#timer || idleMs === 0) return;
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      for (const entry of this.#entries.values()) if (clock.now() - entry.lastUsed >= idleMs) this.#evict(entry);
      if (this.#entries.size > 0) this.#schedule();
    }, idleMs / 2);
  }
}
