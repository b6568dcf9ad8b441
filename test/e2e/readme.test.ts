// The README's diff, applied and run: an existing Express service joins the mesh with at most six changed lines.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { freePort } from '../support/free-port.js';
import { groupYaml, serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
// Below the root, so that the service finds the packages as an installed one would.
const folder = join(root, '.cache', `readme-${process.pid}`);
const diff = /```diff\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))![1]!.split('\n').filter(Boolean);

let mesh: TestMesh;
let caller: TestWorkload;
const children: ChildProcess[] = [];

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  mesh = await TestMesh.start({
    'mesh.yaml': `${serviceYaml('shop', { groups: ['esm', 'cjs'] })}${serviceYaml('payments').replace(/^/, '---\n')}${groupYaml('caller', 'caller')}`,
    'security.yaml': strictYaml,
  });
  const payments = await mesh.workload('payments');
  const server = createServer((request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify({ charged: request.url, by: String(request.headers['x-forwarded-client-cert']).replace(/.*URI=/, '') })));
  await payments.server.listen(server, { port: 0, host: '127.0.0.1' });
  caller = await mesh.workload('caller');
});

afterAll(async () => {
  await Promise.all(children.map(stop));
  await mesh?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function run(name: string, code: string): Promise<void> {
  const file = join(folder, name);
  const token = join(folder, `${name}.token`);
  writeFileSync(file, code.replace('8080', String(await freePort())));
  const workload = name.startsWith('app.c') ? 'cjs' : 'esm';
  writeFileSync(token, await mesh.controlPlane.joinTokens.create({ workload: `default/${workload}`, identity: 'default/shop' }), { mode: 0o600 });
  const env = { ...process.env, WEFT_CONTROL_PLANE: mesh.controlPlane.xdsTls, WEFT_WORKLOAD: `default/${workload}`, WEFT_TOKEN_FILE: token, WEFT_ADDRESS: '127.0.0.1' };
  children.push(spawn(process.execPath, [file], { env, stdio: 'inherit' }));
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const answer = async () => (await caller.client.request('http://shop/orders/7')).body.json();

it('changes at most six lines', () => {
  expect(diff.filter((line) => line.startsWith('+')).length).toBeLessThanOrEqual(6);
  expect(diff.filter((line) => line.startsWith('-')).length).toBeLessThanOrEqual(6);
});

it('puts the service into the mesh, inbound and outbound', async () => {
  await run('app.mjs', diff.filter((line) => !line.startsWith('-')).map((line) => line.slice(1)).join('\n'));
  await vi.waitFor(async () => expect(await answer()).toEqual({ charged: '/charge/7', by: 'spiffe://cluster.local/ns/default/sa/shop' }), { timeout: 15_000, interval: 100 });
});

it('works in CommonJS too', async () => {
  await stop(children[0]!);
  const code = diff.filter((line) => !line.startsWith('-')).map((line) => line.slice(1)).join('\n');
  await run('app.cjs', code.replace(/^import (\S+|\{.*?\}) from ('.*?');$/gm, (_line, names: string, from: string) => `const ${names} = require(${from});`));
  const [, second] = children;
  await vi.waitFor(async () => expect(await answer()).toEqual({ charged: '/charge/7', by: 'spiffe://cluster.local/ns/default/sa/shop' }), { timeout: 15_000, interval: 100 });
  expect(second?.exitCode).toBeNull();
});
