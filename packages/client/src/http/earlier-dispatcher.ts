// Must be evaluated before undici: importing undici 8 replaces a global dispatcher of an older undici by its own (nodejs/undici
// lib/global.js), and with it whatever the application had installed there, such as a proxy.
import type { Dispatcher } from 'undici';

type Globals = Record<symbol, unknown>;

export const earlierDispatcher = ((globalThis as Globals)[Symbol.for('undici.globalDispatcher.2')] ?? (globalThis as Globals)[Symbol.for('undici.globalDispatcher.1')]) as Dispatcher | undefined;
