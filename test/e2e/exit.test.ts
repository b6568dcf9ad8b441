// Nothing of the mesh keeps a process alive once it is closed.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { serveEcho } from '../support/echo-workload.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh } from '../support/test-mesh.js';

const here = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));

test('a process ends by itself after close(), whatever it did and still waits for', async () => {
  const mesh = await TestMesh.start({ 'mesh.yaml': `${serviceYaml('target')}---\n${serviceYaml('own')}${groupYaml('closing', 'closing')}`, 'security.yaml': strictYaml });
  const folder = mkdtempSync(join(tmpdir(), 'weft-exit-'));
  try {
    await serveEcho(await mesh.workload('target'), 'target');
    for (const CLOSE of ['once', 'twice']) {
      writeFileSync(join(folder, 'token'), await mesh.controlPlane.joinTokens.create({ workload: 'default/closing', identity: 'default/closing', uses: 1 }));
      const child = fork(here('closing-process.mjs'), {
        execArgv: ['--conditions=weft:source', '--disable-warning=ExperimentalWarning', '--import', here('source-hooks.mjs')],
        env: { ...process.env, NODE_OPTIONS: '', WEFT_CONTROL_PLANE: mesh.controlPlane.xdsTls, WEFT_WORKLOAD: 'default/closing', WEFT_TOKEN_FILE: join(folder, 'token'), WEFT_ADDRESS: '127.0.0.1', CLOSE },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
      let stderr = '';
      let told: unknown;
      child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      child.on('message', (message) => void (told = message));
      const limit = setTimeout(() => child.kill('SIGKILL'), 30_000);
      const end = await new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
      clearTimeout(limit);
      expect([end, stderr]).toEqual([{ code: 0, signal: null }, '']);
      expect(told).toMatchObject({ answers: ['target', 'target', 'target', 'target', 'grpc'] });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await mesh.close();
  }
}, 120_000);
