// Real gRPC clients of the mesh: C-core (Python's grpcio) and grpc-js-xds, over plain text, with the bootstrap that weft prints.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { main, startMesh, type Mesh } from '@weft/cli';
import { peers } from '../../scripts/peers.mjs';
import { ConfigFolder } from '../support/config-folder.js';
import { grpcEcho, type Backend } from '../support/echo-servers.js';
import { LineProcess, type PeerAnswer } from '../support/line-process.js';
import { countOf, routesYaml, serviceYaml } from './interop-config.js';

const available = peers();
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const python = (script: string, ...args: string[]) => ['python3', [file(script), ...args]] as const;
const clients = [
  { name: 'gRPC C-core', missing: available.grpcio.missing, command: python('c-core-client.py') },
  { name: 'grpc-js-xds', missing: undefined, command: [process.execPath, [file('grpc-js-xds-client.mjs')]] as const },
];

for (const { name, missing, command } of clients) {
  describe.skipIf(missing !== undefined)(`${name} as a client of weft up${missing ? ` (skipped: ${missing})` : ''}`, () => {
    const host = 'echo.test.internal';
    const target = `xds:///${host}:50051`;
    let folder: ConfigFolder;
    let mesh: Mesh;
    let peer: LineProcess;
    let backends: Backend[];
    let failing = false;

    beforeAll(async () => {
      backends = [await grpcEcho('v1-a', () => failing), await grpcEcho('v1-b', () => failing), await grpcEcho('v2')];
      folder = new ConfigFolder({
        'service.yaml': serviceYaml(host, 'GRPC', 50051, backends.slice(0, 2), backends.slice(2)),
        'routes.yaml': routesYaml(host, { v1: 80, v2: 20 }),
      });
      mesh = await startMesh({ config: [folder.path], xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
      let bootstrap = '';
      await main(['bootstrap', 'grpc', '--control-plane', mesh.xds, '--workload', 'default/peer'], { stdout: (text) => (bootstrap += text), stderr: (text) => process.stderr.write(text) });
      const path = join(folder.path, '..', `weft-bootstrap-${process.pid}-${name.replaceAll(' ', '-')}.json`);
      writeFileSync(path, bootstrap);
      peer = new LineProcess(command[0], command[1], { GRPC_XDS_BOOTSTRAP: path, PYTHONPATH: available.grpcio.path ?? '' });
    });

    afterAll(async () => {
      await peer?.close();
      await mesh?.close();
      await Promise.all(backends.map((backend) => backend.close()));
      folder?.remove();
    });

    const ask = (count: number, metadata: [string, string][] = []) => peer.ask<PeerAnswer[]>({ target, count, metadata });

    it('splits by weight', async () => {
      const answers = await ask(500);
      expect(answers.filter(({ code }) => code !== 0)).toEqual([]);
      // 20 % of 500 with a standard deviation of 9: eight of them either way.
      expect(countOf(answers, 'v2')).toBeGreaterThan(30);
      expect(countOf(answers, 'v2')).toBeLessThan(170);
      expect(countOf(answers, 'v1-a')).toBeGreaterThan(0);
      expect(countOf(answers, 'v1-b')).toBeGreaterThan(0);
    });

    it('routes by header', async () => {
      const answers = await ask(30, [['x-canary', 'v2']]);
      expect(countOf(answers, 'v2')).toBe(30);
    });

    it('follows an edit of the weights live', async () => {
      folder.write('routes.yaml', routesYaml(host, { v1: 0, v2: 100 }));
      await vi.waitFor(async () => expect(countOf(await ask(20), 'v2')).toBe(20), { timeout: 10_000, interval: 50 });
      folder.write('routes.yaml', routesYaml(host, { v1: 100, v2: 0 }));
      await vi.waitFor(async () => expect(countOf(await ask(20), 'v1')).toBe(20), { timeout: 10_000, interval: 50 });
    });

    it('retries UNAVAILABLE as the route says', async () => {
      failing = true;
      const before = backends.reduce((sum, { seen }) => sum + seen.length, 0);
      const [answer] = await ask(1);
      failing = false;
      expect(answer?.code).toBe(14);
      expect(backends.reduce((sum, { seen }) => sum + seen.length, 0) - before).toBe(3);
      expect((await ask(1))[0]?.code).toBe(0);
    });

    it('follows an endpoint change', async () => {
      folder.write('service.yaml', serviceYaml(host, 'GRPC', 50051, backends.slice(0, 1), backends.slice(2)));
      await vi.waitFor(async () => expect(countOf(await ask(20), 'v1-a')).toBe(20), { timeout: 10_000, interval: 50 });
    });

    it('never rejected a resource', () => {
      expect([...mesh.controlPlane.discovery.stats.rejects]).toEqual([]);
    });
  });
}
