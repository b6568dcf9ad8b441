// Starts echo-service.mjs as a workload of a TestMesh.
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestMesh } from './test-mesh.js';

export interface ServiceProcess {
  readonly child: ChildProcess;
  /** Of the processes that serve, in the order in which they came up. */
  readonly serving: readonly { pid: number; port: number }[];
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stderr(): string;
  close(): void;
}

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export async function startService(mesh: TestMesh, workload: string, options: { account?: string; env?: Readonly<Record<string, string>>; workers?: number } = {}): Promise<ServiceProcess> {
  const { account = workload, env = {}, workers = 0 } = options;
  const folder = mkdtempSync(join(tmpdir(), 'weft-service-'));
  const processes = Math.max(1, workers);
  writeFileSync(join(folder, 'token'), await mesh.controlPlane.joinTokens.create({ workload: `default/${workload}`, identity: `default/${account}`, uses: processes }));
  const child = fork(here('echo-service.mjs'), {
    execArgv: ['--conditions=weft:source', '--disable-warning=ExperimentalWarning', '--import', here('source-hooks.mjs')],
    env: { ...process.env, NODE_OPTIONS: '', WEFT_CONTROL_PLANE: mesh.controlPlane.xdsTls, WEFT_WORKLOAD: `default/${workload}`, WEFT_TOKEN_FILE: join(folder, 'token'), WEFT_ADDRESS: '127.0.0.1', CLUSTER: String(workers), ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr!.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-20_000)));
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  const serving: { pid: number; port: number }[] = [];
  await new Promise<void>((resolve, reject) => {
    child.on('message', (message) => {
      serving.push(message as { pid: number; port: number });
      if (serving.length === processes) resolve();
    });
    void exited.then(({ code, signal }) => reject(new Error(`the service ended (${signal ?? code}): ${stderr}`)));
  });
  return {
    child, serving, exited,
    stderr: () => stderr,
    close() {
      for (const { pid } of serving) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has ended.
        }
      }
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
