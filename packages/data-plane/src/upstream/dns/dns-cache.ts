// The names that callers of a dynamic forward proxy asked for, with their addresses. The filter fills it and waits, the cluster then
// finds its host in it at once. Both name it in their configuration.
import { isIP } from 'node:net';
import type { Clock } from '@weft/spiffe';
import type { DnsCacheConfig } from '../../resource/cluster-config.js';
import type { EndpointPolicy } from '../../resource/endpoint-policy.js';
import type { Logger } from '../../telemetry/logger.js';
import { RefreshedName } from './refreshed-name.js';
import type { Lookup } from './resolver.js';

export interface CachedHost {
  /** `host:port`, as `hostKeyOf` writes it. */
  readonly key: string;
  readonly host: string;
  readonly port: number;
  /** Those that may be dialled; empty where there are none, which `reason` explains. */
  addresses: readonly string[];
  reason: string;
}

interface Entry extends CachedHost {
  lastUsed: number;
  /** Until the first answer. */
  waiting: Set<() => void> | undefined;
  refresh: { close(): void };
}

export interface DnsCacheOptions {
  readonly clock: Clock;
  random(): number;
  readonly lookup: Lookup;
  readonly logger: Logger;
  /** Judges each address that a name resolved to. */
  readonly guard: EndpointPolicy;
}

export class DnsCache {
  readonly config: DnsCacheConfig;
  /** Clusters that take their hosts from here, with the port of authorities that name none. */
  readonly clusters = new Map<string, { defaultPort: number }>();
  readonly #options: DnsCacheOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<() => void>();
  #pending = 0;

  constructor(config: DnsCacheConfig, options: DnsCacheOptions) {
    this.config = config;
    this.#options = options;
    for (const { host, port } of config.preresolve) this.get(hostKeyOf(host, port));
  }

  /** Those whose first answer came. */
  *hosts(): Iterable<CachedHost> {
    for (const entry of this.#entries.values()) if (!entry.waiting) yield entry;
  }

  /** Told when addresses of any host changed. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** A use of this host, which keeps it. Undefined: the cache is full. */
  get(key: string): CachedHost | undefined {
    const { clock } = this.#options;
    let entry = this.#entries.get(key);
    if (entry) entry.lastUsed = clock.now();
    else if (this.#entries.size < this.config.maxHosts) entry = this.#add(key);
    return entry;
  }

  /** Calls back when the host's first answer is there: now, or later. False: too many wait. Returns the way to stop waiting. */
  wait(host: CachedHost, done: () => void): (() => void) | undefined | false {
    const entry = host as Entry;
    if (!entry.waiting) {
      done();
      return undefined;
    }
    if (this.#pending >= this.config.maxPending) return false;
    this.#pending++;
    const { waiting } = entry;
    const listener = () => {
      this.#pending--;
      done();
    };
    waiting.add(listener);
    return () => {
      if (waiting.delete(listener)) this.#pending--;
    };
  }

  close(): void {
    for (const { refresh } of this.#entries.values()) refresh.close();
    this.#entries.clear();
    this.#listeners.clear();
  }

  #add(key: string): Entry {
    const { clock, random, lookup } = this.#options;
    const { host, port } = splitKey(key);
    const entry: Entry = { key, host, port, addresses: [], reason: '', lastUsed: clock.now(), waiting: new Set(), refresh: { close: () => undefined } };
    this.#entries.set(key, entry);
    if (isIP(host) !== 0) {
      // Nothing to ask for; it goes when nobody uses it.
      const expire = (): { cancel(): void } => clock.setTimeout(() => {
        if (this.#isUsed(entry)) timer = expire();
        else this.#remove(entry);
      }, this.config.hostTtlMs);
      let timer = expire();
      entry.refresh = { close: () => timer.cancel() };
      this.#answer(entry, [host]);
      return entry;
    }
    let limit: { cancel(): void } | undefined = clock.setTimeout(() => this.#fail(entry, `${host} could not be resolved in ${this.config.queryTimeoutMs} ms`), this.config.queryTimeoutMs);
    const answered = () => {
      limit?.cancel();
      limit = undefined;
    };
    const refreshed = new RefreshedName(host, {
      clock, random, lookup, config: this.config.dns,
      onResolved: ({ addresses }) => {
        answered();
        if (!this.#isUsed(entry)) return this.#remove(entry);
        this.#answer(entry, addresses);
        return true;
      },
      onFailure: (error) => {
        answered();
        if (!this.#isUsed(entry)) return this.#remove(entry);
        this.#fail(entry, error.message);
        return true;
      },
    });
    entry.refresh = {
      close() {
        answered();
        refreshed.close();
      },
    };
    return entry;
  }

  #isUsed({ lastUsed, waiting }: Entry): boolean {
    return (waiting !== undefined && waiting.size > 0) || this.#options.clock.now() - lastUsed < this.config.hostTtlMs;
  }

  #remove(entry: Entry): false {
    entry.refresh.close();
    this.#entries.delete(entry.key);
    this.#tell();
    return false;
  }

  #answer(entry: Entry, found: readonly string[]): void {
    const allowed: string[] = [];
    for (const address of found) {
      const refusal = this.#options.guard(address);
      if (refusal === undefined) allowed.push(address);
      else {
        entry.reason = `${entry.host} resolves to ${address}, which ${refusal}`;
        this.#options.logger.warn({ host: entry.host, address, reason: refusal }, 'an address is not dialled by the forward proxy');
      }
    }
    const changed = allowed.join() !== entry.addresses.join();
    // What may not be dialled any more must go, unlike what just could not be asked for.
    entry.addresses = allowed;
    this.#settle(entry, changed);
  }

  /** Addresses that were known stay. */
  #fail(entry: Entry, reason: string): void {
    entry.reason = reason;
    this.#options.logger.warn({ host: entry.host, reason }, 'a host of the forward proxy cannot be resolved');
    this.#settle(entry, false);
  }

  #settle(entry: Entry, changed: boolean): void {
    const { waiting } = entry;
    entry.waiting = undefined;
    // Clusters first: who waits goes on to choose its host there.
    if (changed) this.#tell();
    const told = [...(waiting ?? [])];
    waiting?.clear();
    for (const done of told) done();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Caches by the name in their configuration. */
export class DnsCaches {
  readonly #options: DnsCacheOptions;
  readonly #caches = new Map<string, DnsCache>();

  constructor(options: DnsCacheOptions) {
    this.#options = options;
  }

  /** @throws {Error} where the name has another configuration already: filter and cluster must agree. */
  get(config: DnsCacheConfig): DnsCache {
    const known = this.#caches.get(config.name);
    if (known) {
      if (JSON.stringify(known.config) !== JSON.stringify(config)) throw new Error(`the DNS cache ${config.name} has another configuration already`);
      return known;
    }
    const cache = new DnsCache(config, this.#options);
    this.#caches.set(config.name, cache);
    return cache;
  }

  close(): void {
    for (const cache of this.#caches.values()) cache.close();
    this.#caches.clear();
  }
}

/** One spelling for a host and port. IPv6 addresses may come with and without brackets. */
export function hostKeyOf(authority: string, defaultPort: number): string {
  const bare = isIP(authority) === 6 ? `[${authority}]` : authority;
  const port = Number(/:(\d+)$/.exec(bare)?.[1] ?? 0);
  // What is no port is part of a name, which nobody has (Envoy); 0 would even be the path of a Unix socket where connections are made.
  const withPort = port > 0 && port <= 65_535 && !/^\[[^\]]*$/.test(bare) ? bare : `${bare}:${defaultPort}`;
  return withPort.toLowerCase();
}

function splitKey(key: string): { host: string; port: number } {
  const colon = key.lastIndexOf(':');
  return { host: key.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(key.slice(colon + 1)) };
}
