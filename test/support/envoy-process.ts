// A real Envoy beside a test, with the bootstrap that weft prints.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { main } from '@weft/cli';

export interface EnvoyProcess {
  /** What it logged, warnings and worse. */
  log(): string;
  close(): Promise<void>;
}

export async function startEnvoy(path: string, controlPlane: string, portOffset: number): Promise<EnvoyProcess> {
  let bootstrap = '';
  await main(['bootstrap', 'envoy', '--control-plane', controlPlane, '--workload', 'default/peer', '--port-offset', String(portOffset)], { stdout: (text) => (bootstrap += text), stderr: (text) => process.stderr.write(text) });
  return runEnvoy(path, bootstrap);
}

/** With a bootstrap of one's own (JSON). It may take a moment until its listeners are bound. */
export function runEnvoy(path: string, bootstrap: string): EnvoyProcess {
  const folder = mkdtempSync(join(tmpdir(), 'weft-envoy-'));
  const file = join(folder, 'bootstrap.json');
  writeFileSync(file, bootstrap);
  const child: ChildProcess = spawn(path, ['-c', file, '--concurrency', '1', '--log-level', 'warning', '--use-dynamic-base-id'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => (log += chunk.toString()));
  return {
    log: () => log,
    close: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
