import { createHash } from 'node:crypto';
import { fromJson, type Store } from '@weft/store';

/** What happened and to whom. No secrets: neither tokens nor keys, only their fingerprints. */
export interface AuditEvent {
  readonly event: 'issue' | 'deny' | 'token-create' | 'token-consume' | 'authority-create' | 'authority-activate' | 'authority-remove';
  readonly [field: string]: string | number | undefined;
}

/** Where lines go. */
export interface AuditSink {
  /** The newest line, to continue the chain after a restart. */
  last(): Promise<{ sequence: number; line: string } | undefined>;
  /** Resolves when the line is safe. */
  append(sequence: number, line: string): Promise<void>;
}

/**
 * One JSON line per decision, each with the SHA-256 of the line before: a line that was changed or taken out breaks the chain.
 * A decision counts only when its line is safe, so `record` is awaited before anything is handed out.
 */
export class AuditLog {
  readonly #sink: AuditSink;
  readonly #now: () => number;
  #sequence: number;
  #previous: string;

  private constructor(sink: AuditSink, now: () => number, sequence: number, previous: string) {
    this.#sink = sink;
    this.#now = now;
    this.#sequence = sequence;
    this.#previous = previous;
  }

  static async open(sink: AuditSink, now: () => number): Promise<AuditLog> {
    const last = await sink.last();
    return new AuditLog(sink, now, last?.sequence ?? 0, last ? sha256(last.line) : '');
  }

  record(event: AuditEvent): Promise<void> {
    const sequence = ++this.#sequence;
    const line = JSON.stringify({ sequence, time: new Date(this.#now()).toISOString(), ...event, previous: this.#previous });
    this.#previous = sha256(line);
    return this.#sink.append(sequence, line);
  }
}

const prefix = 'ca/audit/';
const keyOf = (sequence: number) => prefix + String(sequence).padStart(12, '0');

/** Lines in the store, the newest `limit` of them (default 10 000). */
export class StoreAuditSink implements AuditSink {
  readonly #store: Store;
  readonly #limit: number;

  constructor(store: Store, { limit = 10_000 }: { limit?: number } = {}) {
    this.#store = store;
    this.#limit = limit;
  }

  async last(): Promise<{ sequence: number; line: string } | undefined> {
    const newest = (await this.#store.list(prefix)).entries.at(-1);
    return newest && { sequence: Number(newest.key.slice(prefix.length)), line: fromJson<string>(newest.value, newest.key) };
  }

  async append(sequence: number, line: string): Promise<void> {
    const writes: Promise<unknown>[] = [this.#store.put(keyOf(sequence), new TextEncoder().encode(JSON.stringify(line)))];
    if (sequence > this.#limit) writes.push(this.#store.delete(keyOf(sequence - this.#limit)));
    await Promise.all(writes);
  }

  /** All lines that are kept, the oldest first. */
  async lines(): Promise<string[]> {
    return (await this.#store.list(prefix)).entries.map(({ key, value }) => fromJson<string>(value, key));
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
