import { createRequire } from 'node:module';
import type { DatabaseSync, StatementSync } from 'node:sqlite';

export type Database = DatabaseSync;
export type Statement = StatementSync;

let Sqlite: typeof DatabaseSync | undefined;

/**
 * Loads node:sqlite on first use. Node 22 prints an ExperimentalWarning for it, which a user of the control plane can do nothing
 * about; that one is dropped and every other warning passes.
 */
export function sqlite(path: string): Database {
  if (!Sqlite) {
    const emitWarning = process.emitWarning;
    process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
      const type = typeof rest[0] === 'string' ? rest[0] : (rest[0] as { type?: string } | undefined)?.type;
      if (type === 'ExperimentalWarning' && /SQLite/i.test(String(warning))) return;
      Reflect.apply(emitWarning, process, [warning, ...rest]);
    }) as typeof process.emitWarning;
    try {
      Sqlite = (createRequire(import.meta.url)('node:sqlite') as { DatabaseSync: typeof DatabaseSync }).DatabaseSync;
    } finally {
      process.emitWarning = emitWarning;
    }
  }
  return new Sqlite(path);
}
