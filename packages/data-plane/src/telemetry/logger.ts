import { debuglog } from 'node:util';
import type { Logger } from '@weft/spiffe';

export type { Logger };

const levels = ['debug', 'info', 'warn', 'error'] as const;
type Level = (typeof levels)[number];
const debug = debuglog('weft');

/** Writes `weft warn: message {fields}` to stderr from a level on (`WEFT_LOG`, default warn). NODE_DEBUG=weft shows everything. */
export function defaultLogger(level: string | undefined = process.env['WEFT_LOG']): Logger {
  const from = Math.max(0, levels.indexOf((level ?? 'warn') as Level));
  const writer = (name: Level) => (fields: object, message: string) => {
    const visible = levels.indexOf(name) >= from;
    if (!visible && !debug.enabled) return;
    const text = Object.keys(fields).length > 0 ? `${message} ${JSON.stringify(fields, plainErrors)}` : message;
    if (visible) process.stderr.write(`weft ${name}: ${text}\n`);
    else debug('%s: %s', name, text);
  };
  return { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') };
}

/** JSON knows nothing of an Error's message. */
function plainErrors(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}
