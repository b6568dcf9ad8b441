// The one runtime that client and server of a process share.
import { isDeepStrictEqual } from 'node:util';
import type { Environment } from './bootstrap/bootstrap.js';
import { MeshError } from './errors.js';
import { createRuntime } from './runtime-composition.js';
import type { RuntimeOptions } from './runtime-options.js';
import type { Runtime } from './runtime.js';
import { version } from './version.js';

interface Shared {
  readonly version: string;
  readonly options: RuntimeOptions;
  readonly runtime: Runtime;
  readonly close: () => Promise<void>;
  users: number;
}

// Registered, so that two copies of this package in one process (nested node_modules, ESM beside CommonJS) meet here.
const key = Symbol.for('weft.runtime');
const place = globalThis as { [key]?: Shared | undefined };

/**
 * The process's runtime, made on first use. Options count for the first caller; who asks later with different ones is warned.
 * Each caller closes what it got; the last one closes the runtime.
 * @throws {MeshError} WEFT_VERSION_MISMATCH where another version of Weft made it, or what createRuntime throws.
 */
export function acquireRuntime(options: RuntimeOptions = {}, env: Environment = process.env): Runtime {
  let shared = place[key];
  if (shared && shared.version !== version) {
    throw new MeshError('WEFT_VERSION_MISMATCH', `${shared.version} is running, ${version} was asked for; install one version of all @weft packages`);
  }
  if (!shared) {
    const runtime = createRuntime(options, env);
    shared = place[key] = { version, options, runtime, close: () => runtime.close(), users: 0 };
    if (options.handleSigterm) closeOnSigterm(shared);
  } else {
    const { options: used, runtime } = shared;
    const unused = Object.entries(options).filter(([name, value]) => value !== undefined && !isDeepStrictEqual(value, used[name as keyof RuntimeOptions]));
    if (unused.length > 0) runtime.logger.warn({ options: unused.map(([name]) => name) }, 'this process has a runtime already; options given later are not used');
  }
  shared.users++;
  return handle(shared);
}

function handle(shared: Shared): Runtime {
  let closed: Promise<void> | undefined;
  return Object.freeze({ ...shared.runtime, close: () => (closed ??= release(shared)) });
}

async function release(shared: Shared): Promise<void> {
  if (--shared.users > 0) return;
  if (place[key] === shared) place[key] = undefined;
  await shared.close();
}

// Node ends the process on SIGTERM only while nobody listens: having closed, we step aside and send it again.
function closeOnSigterm(shared: Shared): void {
  const onSigterm = () => {
    if (place[key] === shared) place[key] = undefined;
    void shared.close().finally(() => {
      if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
    });
  };
  process.once('SIGTERM', onSigterm);
}
