// Starting, watching and stopping the processes of the demo.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';

const running = new Set();

/** Starts `node FILE ARGS`; its output goes to LOGS/NAME.log. `ready` resolves when a line of stdout matches. */
export function start(name, file, { args = [], env = {}, logs, ready, timeout = 30_000 }) {
  const child = spawn(process.execPath, [file, ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(join(logs, `${name}.log`), { flags: 'a' });
  let output = '';
  child.stderr.pipe(log, { end: false });
  const exited = once(child, 'exit').then(([code, signal]) => {
    running.delete(child);
    log.end();
    return { code, signal };
  });
  running.add(child);
  const isReady = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} was not ready within ${timeout / 1000} s; see ${join(logs, `${name}.log`)}`)), timeout);
    child.stdout.on('data', (chunk) => {
      log.write(chunk);
      if (output.length < 1e6) output += chunk;
      const match = ready?.exec(output);
      if (match) {
        clearTimeout(timer);
        resolve(match);
      }
    });
    exited.then(({ code, signal }) => {
      clearTimeout(timer);
      reject(new Error(`${name} ended before it was ready (${signal ?? `exit code ${code}`}); see ${join(logs, `${name}.log`)}`));
    });
  });
  isReady.catch(() => {});
  return { name, child, ready: isReady, exited, output: () => output };
}

/** Runs a command of the weft CLI to its end and returns its stdout. */
export async function weft(cli, args, env = {}) {
  const child = spawn(process.execPath, [cli, ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`weft ${args.join(' ')} ended with ${code}: ${stderr.trim()}`);
  return stdout;
}

export async function stop({ child, exited }, signal = 'SIGTERM', patience = 8000) {
  if (child.exitCode !== null || child.signalCode !== null) return exited;
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), patience);
  const result = await exited;
  clearTimeout(timer);
  return result;
}

export function killAll() {
  for (const child of running) child.kill('SIGKILL');
}
