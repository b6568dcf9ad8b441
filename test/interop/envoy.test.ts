// A real Envoy as a client of the mesh, with the bootstrap that weft prints.
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { request } from 'undici';
import { main, startMesh, type Mesh } from '@weft/cli';
import { peers } from '../../scripts/peers.mjs';
import { ConfigFolder } from '../support/config-folder.js';
import { freePort } from '../support/free-port.js';
import { httpEcho, type Backend } from '../support/echo-servers.js';
import { countOf, routesYaml, serviceYaml } from './interop-config.js';

const { envoy } = peers();

describe.skipIf(envoy.missing !== undefined)(`Envoy 1.40 as a client of weft up${envoy.missing ? ` (skipped: ${envoy.missing})` : ''}`, () => {
  const host = 'echo.test.internal';
  let folder: ConfigFolder;
  let mesh: Mesh;
  let child: ChildProcess;
  let backends: Backend[];
  let port: number;
  let failing = false;
  let bytesPort: number;
  let bytes: Server;
  let log = '';

  beforeAll(async () => {
    backends = [await httpEcho('v1-a', () => failing), await httpEcho('v1-b', () => failing), await httpEcho('v2', () => failing)];
    // The service's port is a free one less the offset, so that the listener's is free.
    const free = await freePort();
    const offset = 5000;
    port = free;
    bytesPort = await freePort();
    bytes = createServer((socket) => socket.on('error', () => {}).pipe(socket));
    await new Promise<void>((resolve) => bytes.listen(0, '127.0.0.1', resolve));
    const { port: echo } = bytes.address() as AddressInfo;
    folder = new ConfigFolder({
      'service.yaml': serviceYaml(host, 'HTTP', free - offset, backends.slice(0, 2), backends.slice(2)),
      'bytes.yaml': `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: bytes }
spec:
  hosts: [bytes.test.internal]
  resolution: STATIC
  ports: [{ number: ${bytesPort - offset}, name: tcp, protocol: TCP }]
  endpoints: [{ address: 127.0.0.1, ports: { tcp: ${echo} } }]
`,
      'routes.yaml': routesYaml(host, { v1: 80, v2: 20 }),
    });
    mesh = await startMesh({ config: [folder.path], xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
    let bootstrap = '';
    await main(['bootstrap', 'envoy', '--control-plane', mesh.xds, '--workload', 'default/peer', '--port-offset', String(offset)], { stdout: (text) => (bootstrap += text), stderr: (text) => process.stderr.write(text) });
    const path = join(folder.path, '..', `weft-envoy-${process.pid}.json`);
    writeFileSync(path, bootstrap);
    child = spawn(envoy.path as string, ['-c', path, '--concurrency', '1', '--log-level', 'warning', '--use-dynamic-base-id'], { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr!.on('data', (chunk: Buffer) => (log += chunk.toString()));
    await vi.waitFor(async () => expect((await ask()).status).toBe(200), { timeout: 20_000, interval: 50 });
  });

  afterAll(async () => {
    if (child && child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await mesh?.close();
    bytes?.close();
    await Promise.all(backends.map((backend) => backend.close()));
    folder?.remove();
  });

  async function ask(headers: Record<string, string> = {}, authority = host): Promise<{ status: number; instance?: string }> {
    const { statusCode, body } = await request(`http://127.0.0.1:${port}/hello`, { headers: { host: authority, ...headers } });
    const text = await body.text();
    return { status: statusCode, ...(statusCode === 200 ? { instance: (JSON.parse(text) as { instance: string }).instance } : {}) };
  }
  const many = async (count: number, headers: Record<string, string> = {}) => {
    const answers = [];
    for (let i = 0; i < count; i += 1) answers.push(await ask(headers));
    return answers;
  };

  it('splits by weight and routes by header', async () => {
    const answers = await many(500);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(countOf(answers, 'v2')).toBeGreaterThan(30);
    expect(countOf(answers, 'v2')).toBeLessThan(170);
    expect(countOf(await many(30, { 'x-canary': 'v2' }), 'v2')).toBe(30);
  });

  it('carries bytes where a port is TCP', async () => {
    const socket = await vi.waitFor(async () => {
      const made = connect(bytesPort, '127.0.0.1');
      await once(made, 'connect');
      return made;
    }, { timeout: 10_000, interval: 50 });
    socket.end('through Envoy');
    expect(await text(socket)).toBe('through Envoy');
  });

  it('answers 502 for a host that is not in the mesh', async () => {
    expect((await ask({}, 'stranger.example')).status).toBe(502);
  });

  it('retries as the route says', async () => {
    failing = true;
    const before = backends.reduce((sum, { seen }) => sum + seen.length, 0);
    expect((await ask()).status).toBe(503);
    failing = false;
    expect(backends.reduce((sum, { seen }) => sum + seen.length, 0) - before).toBe(3);
  });

  it('follows an edit of the weights and an endpoint change live', async () => {
    folder.write('routes.yaml', routesYaml(host, { v1: 100, v2: 0 }));
    await vi.waitFor(async () => expect(countOf(await many(20), 'v1')).toBe(20), { timeout: 10_000, interval: 50 });
    folder.write('service.yaml', serviceYaml(host, 'HTTP', port - 5000, backends.slice(0, 1), backends.slice(2)));
    await vi.waitFor(async () => expect(countOf(await many(20), 'v1-a')).toBe(20), { timeout: 10_000, interval: 50 });
  });

  it('never rejected a resource, on either side', () => {
    expect([...mesh.controlPlane.discovery.stats.rejects]).toEqual([]);
    expect(log).not.toMatch(/rejected|error/i);
  });
});
