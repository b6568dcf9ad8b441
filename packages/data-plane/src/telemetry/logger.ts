import { debuglog } from 'node:util';

/** What Weft logs to. pino, winston and console fit. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

const levels = ['debug', 'info', 'warn', 'error'] as const;
const debug = debuglog('weft');

/** Writes `weft: message {fields}` to stderr from a level on (`WEFT_LOG`, default warn). NODE_DEBUG=weft shows everything. */
export function defaultLogger(level: string | undefined = process.env['WEFT_LOG']): Logger {
  const from = Math.max(0, levels.indexOf((level ?? 'warn') as (typeof levels)[number]));
  const write = (name: (typeof levels)[number], message: string, fields?: Readonly<Record<string, unknown>>) => {
    const line = fields && Object.keys(fields).length > 0 ? `${message} ${JSON.stringify(fields)}` : message;
    if (levels.indexOf(name) >= from) process.stderr.write(`weft ${name}: ${line}\n`);
    else debug('%s: %s', name, line);
  };
  return {
    debug: (message, fields) => write('debug', message, fields),
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
  };
}
