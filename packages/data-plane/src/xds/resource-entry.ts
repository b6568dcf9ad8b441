// What is known of one resource, and who follows it.
import type { Timer } from '@weft/spiffe';
import type { ResourceType } from './resource-type.js';
import type { ResourceWatcher } from './xds-client.js';

export class ResourceEntry {
  readonly type: ResourceType<unknown>;
  readonly name: string;
  readonly watchers = new Set<ResourceWatcher<unknown>>();
  state: 'requested' | 'acked' | 'nacked' | 'absent' = 'requested';
  /** Of the last good resource; empty where there is none. */
  version = '';
  /** The last good resource as it came: what an unchanged one is told by (comparing decoded fields overlooks added ones). */
  bytes: Uint8Array | undefined;
  /** Set with `bytes`. */
  resource: unknown;
  lastUpdated: number | undefined;
  /** Why it is absent, or why the latest version was refused. */
  error: Error | undefined;
  timer: Timer | undefined;
  readonly #report: (error: unknown) => void;

  /** @param report takes what watchers throw. */
  constructor(type: ResourceType<unknown>, name: string, report: (error: unknown) => void) {
    this.type = type;
    this.name = name;
    this.#report = report;
  }

  /** Tells a new watcher what is known now. */
  greet(watcher: ResourceWatcher<unknown>): void {
    this.#tell(watcher, (each) => {
      if (this.bytes) each.onResource(this.resource);
      else if (this.state === 'absent' && this.error) each.onAbsent(this.error);
      else if (this.error) each.onError(this.error);
    });
  }

  /** `decode` is called only where the bytes differ from the last good ones. Throws what it throws, and changes nothing then. */
  accept(bytes: Uint8Array, version: string, now: number, decode: () => unknown): void {
    const unchanged = this.bytes !== undefined && Buffer.compare(this.bytes, bytes) === 0;
    const recovered = this.error !== undefined;
    if (!unchanged) this.resource = decode();
    this.bytes = bytes;
    this.#settle('acked', undefined);
    this.version = version;
    this.lastUpdated = now;
    // The same object again, so that nothing is rebuilt: only an error is taken back.
    if (!unchanged || recovered) this.#tellAll((watcher) => watcher.onResource(this.resource));
  }

  /** A version was refused: the last good one stays in force. */
  refuse(error: Error): void {
    const repeated = this.state === 'nacked' && this.error?.message === error.message;
    this.#settle('nacked', error);
    // State of the world sends the bad one again with every change of another.
    if (!repeated) this.#tellAll((watcher) => watcher.onError(error));
  }

  remove(reason: Error): void {
    const known = this.state === 'absent';
    // Forgotten wholly: the same bytes must count as new when they come back (grpc-js-xds 1.14.1 stays broken then).
    this.bytes = undefined;
    this.resource = undefined;
    this.version = '';
    this.#settle('absent', reason);
    if (!known) this.#tellAll((watcher) => watcher.onAbsent(reason));
  }

  /** The control plane cannot be reached. What is known stays. */
  fail(error: Error): void {
    if (!this.bytes && this.state === 'requested') this.error = error;
    this.#tellAll((watcher) => watcher.onError(error));
  }

  stopTimer(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  #settle(state: ResourceEntry['state'], error: Error | undefined): void {
    this.stopTimer();
    this.state = state;
    this.error = error;
  }

  #tellAll(tell: (watcher: ResourceWatcher<unknown>) => void): void {
    // Watchers come and go while they are told; who comes then was greeted already.
    const present = Array.from(this.watchers);
    for (const watcher of present) if (this.watchers.has(watcher)) this.#tell(watcher, tell);
  }

  #tell(watcher: ResourceWatcher<unknown>, tell: (watcher: ResourceWatcher<unknown>) => void): void {
    try {
      tell(watcher);
    } catch (error) {
      this.#report(error);
    }
  }
}
