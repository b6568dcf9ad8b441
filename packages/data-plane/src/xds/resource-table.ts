// All resources the process follows, by type and name, and what responses do to them.
import type { Clock } from '@weft/spiffe';
import { MeshError } from '../errors.js';
import type { Logger } from '../telemetry/logger.js';
import type { DiscoveryUpdate, HeldType, ReceivedResource } from './protocol.js';
import { ResourceEntry } from './resource-entry.js';
import { resourceName } from './resource-name.js';
import type { ResourceType } from './resource-type.js';
import type { ResourceWatcher, XdsStatus } from './xds-client.js';

export interface ResourceTableOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the control plane, for errors. */
  readonly address: string;
  readonly resourceTimeoutMs?: number;
  readonly ignoreResourceDeletion?: boolean;
}

interface TypeTable {
  readonly name: string;
  readonly fullState: boolean;
  /** SotW: version of the last response accepted. */
  version: string;
  readonly entries: Map<string, ResourceEntry>;
}

export class ResourceTable {
  readonly #options: ResourceTableOptions;
  readonly #types = new Map<string, TypeTable>();

  constructor(options: ResourceTableOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    for (const { entries } of this.#types.values()) if (entries.size > 0) return false;
    return true;
  }

  /** @param error why nothing can be asked for now. @returns ends the watch; the entry stays until the next sweep. */
  add(type: ResourceType<unknown>, name: string, watcher: ResourceWatcher<unknown>, error: Error | undefined): () => void {
    let table = this.#types.get(type.typeUrl);
    if (!table) this.#types.set(type.typeUrl, (table = { name: type.name, fullState: type.fullState, version: '', entries: new Map() }));
    let entry = table.entries.get(name);
    if (!entry) {
      entry = new ResourceEntry(type, name, (thrown) => this.#options.logger.error({ type: type.name, name, err: thrown }, 'a watcher of a resource failed'));
      entry.error = error;
      table.entries.set(name, entry);
    }
    // An object of its own, so that watching twice with one object is two watches.
    const own: ResourceWatcher<unknown> = {
      onResource: (resource) => watcher.onResource(resource),
      onAbsent: (reason) => watcher.onAbsent(reason),
      onError: (reason) => watcher.onError(reason),
    };
    entry.watchers.add(own);
    entry.greet(own);
    return () => void entry.watchers.delete(own);
  }

  /** Forgets what nobody watches any more, and says what is wanted of each type. */
  sweep(): HeldType[] {
    return [...this.#types].map(([typeUrl, { fullState, version, entries }]) => {
      for (const entry of entries.values()) {
        if (entry.watchers.size > 0) continue;
        entry.stopTimer();
        entries.delete(entry.name);
      }
      return { typeUrl, fullState, version, names: new Map([...entries.values()].map((entry) => [entry.name, entry.bytes ? entry.version : ''])) };
    });
  }

  /** For resources that were asked for and never answered. */
  startTimers(typeUrl: string): void {
    const { clock, address, resourceTimeoutMs = 15_000 } = this.#options;
    for (const entry of this.#types.get(typeUrl)?.entries.values() ?? []) {
      if (entry.state !== 'requested' || entry.timer) continue;
      entry.timer = clock.setTimeout(() => {
        entry.timer = undefined;
        entry.remove(new MeshError('WEFT_NO_CONFIG', `${entry.type.name} ${entry.name} does not exist: ${address} did not send it in ${resourceTimeoutMs} ms`));
      }, resourceTimeoutMs);
    }
  }

  /** A stream that is gone cannot answer: time does not run against its resources. */
  stopTimers(): void {
    for (const { entries } of this.#types.values()) for (const entry of entries.values()) entry.stopTimer();
  }

  fail(error: Error): void {
    for (const { entries } of this.#types.values()) for (const entry of entries.values()) entry.fail(error);
  }

  /** @returns what is wrong with the response; undefined for a type nobody asked for. */
  apply(update: DiscoveryUpdate): string[] | undefined {
    const table = this.#types.get(update.typeUrl);
    if (!table) return undefined;
    const errors: string[] = [];
    const seen = new Set<string>();
    for (const received of update.resources) {
      const name = received.name || resourceName(received.value);
      const entry = table.entries.get(name);
      try {
        if (seen.has(name)) throw new Error('the response holds it twice');
        if (entry) this.#accept(entry, received, update.typeUrl);
        else if (name === '') throw new Error('a resource without a name');
      } catch (error) {
        const text = describe(table.name, name, error);
        errors.push(text);
        entry?.refuse(new MeshError('WEFT_RESOURCE_INVALID', text, { cause: error }));
      }
      seen.add(name);
    }
    for (const name of update.removed) this.#remove(table, table.entries.get(name));
    // Never-seen names may have been asked for after this response was made: their timer decides.
    if (update.complete) for (const entry of table.entries.values()) if (!seen.has(entry.name) && entry.state !== 'requested') this.#remove(table, entry);
    if (errors.length === 0) table.version = update.version;
    return errors;
  }

  status(): XdsStatus['resources'] {
    return [...this.#types.values()].flatMap(({ name: type, entries }) => [...entries.values()].map(({ name, state, version, lastUpdated, error }) => ({
      type,
      name,
      state,
      version,
      ...(lastUpdated !== undefined && { lastUpdated }),
      ...(error && { error: error.message }),
    })));
  }

  close(): void {
    this.stopTimers();
    this.#types.clear();
  }

  #accept(entry: ResourceEntry, { typeUrl, value, version }: ReceivedResource, expected: string): void {
    if (typeUrl !== expected) throw new Error(`has the type ${typeUrl || '(none)'}`);
    entry.accept(value, version, this.#options.clock.now(), () => {
      const decoded = entry.type.decode(value);
      if (decoded.name !== entry.name) throw new Error(`was sent under this name, but calls itself ${JSON.stringify(decoded.name)}`);
      return decoded.resource;
    });
  }

  #remove(table: TypeTable, entry: ResourceEntry | undefined): void {
    if (!entry) return;
    const { address, logger, ignoreResourceDeletion = false } = this.#options;
    if (ignoreResourceDeletion && table.fullState && entry.bytes) {
      logger.warn({ type: table.name, name: entry.name }, 'the control plane removed a resource; it stays in force (ignore_resource_deletion)');
      return;
    }
    entry.remove(new MeshError('WEFT_NO_CONFIG', `${table.name} ${entry.name} does not exist (${address})`));
  }
}

function describe(type: string, name: string, error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.startsWith(`${type} ${name}: `) ? text : `${type} ${name}: ${text}`;
}
