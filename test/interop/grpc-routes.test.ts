// What configuration asks of gRPC clients beyond plain routing, done by C-core and grpc-js-xds; what they cannot do costs no NACK.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main, startMesh, type Mesh } from '@weft/cli';
import { peers } from '../../scripts/peers.mjs';
import { ConfigFolder } from '../support/config-folder.js';
import { grpcEcho, type Backend } from '../support/echo-servers.js';
import { LineProcess, type PeerAnswer } from '../support/line-process.js';

const available = peers();
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const clients = [
  { name: 'gRPC C-core', missing: available.grpcio.missing, command: ['python3', [file('c-core-client.py')]] as const },
  { name: 'grpc-js-xds', missing: undefined, command: [process.execPath, [file('grpc-js-xds-client.mjs')]] as const },
];

const entry = (name: string, resolution: string, address: string, backends: readonly Backend[]) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.test.internal]
  location: MESH_INTERNAL
  resolution: ${resolution}
  ports: [{ number: 50051, name: main, protocol: GRPC }]
  endpoints: [${backends.map(({ port }) => `{ address: ${address}, ports: { main: ${port} } }`).join(', ')}]
---
`;
const rule = (name: string, policy: string) => `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: ${name} }\nspec: { host: ${name}.test.internal, trafficPolicy: ${policy} }\n---\n`;
const routes = (name: string, http: string) => `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: ${name} }\nspec: { hosts: [${name}.test.internal], http: ${http} }\n---\n`;

function config(backends: readonly Backend[]): string {
  const route = (name: string) => `route: [{ destination: { host: ${name}.test.internal } }]`;
  return [
    entry('faulty', 'STATIC', '127.0.0.1', backends),
    routes('faulty', `[{ match: [{ headers: { x-fail: { exact: 'yes' } } }], fault: { abort: { grpcStatus: RESOURCE_EXHAUSTED, percentage: { value: 100 } } }, ${route('faulty')} }, { match: [{ headers: { x-slow: { prefix: 'y' } } }], fault: { delay: { fixedDelay: 5s, percentage: { value: 100 } } }, ${route('faulty')} }, { match: [{ uri: { prefix: /test.Echo/ } }], ${route('faulty')} }]`),
    entry('hashed', 'STATIC', '127.0.0.1', backends),
    rule('hashed', '{ loadBalancer: { consistentHash: { httpHeaderName: x-user } }, outlierDetection: { consecutive5xxErrors: 3 }, connectionPool: { tcp: { maxConnections: 100, connectTimeout: 2s }, http: { http2MaxRequests: 100 } } }'),
    entry('named', 'DNS', 'localhost', backends.slice(0, 1)),
    entry('beyond', 'STATIC', '127.0.0.1', backends),
    rule('beyond', '{ loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 1s, minimumPercent: 20, aggression: 2 }, zoneAwareLbSetting: { minClusterSize: 2 } }, breakers: { adaptive: { latencyThreshold: 250ms }, errorRate: {} } }'),
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: team }\nspec: { http: [{ match: [{ uri: { prefix: /test.Echo/ }, statPrefix: team }], timeout: 4s, route: [{ destination: { host: beyond.test.internal } }] }] }\n---\n',
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: wild }\nspec: { hosts: ['*.wild.internal'], resolution: DYNAMIC_DNS, ports: [{ number: 50051, name: main, protocol: GRPC }] }\n---\n",
    routes('beyond', `[{ match: [{ uri: { prefix: /test. } }], delegate: { name: team } }, { rewrite: { authority: x.test }, headers: { request: { set: { x-a: b } } }, mirrors: [{ destination: { host: hashed.test.internal } }], timeout: 5s, ${route('beyond')} }]`),
    entry('direct', 'STATIC', '127.0.0.1', backends),
    routes('direct', '[{ directResponse: { status: 404 } }]'),
    entry('lost', 'STATIC', '127.0.0.1', backends),
    routes('lost', '[{ route: [{ destination: { host: lost.test.internal, subset: none } }] }]'),
  ].join('');
}

for (const { name, missing, command } of clients) {
  describe.skipIf(missing !== undefined)(`${name} does what the configuration asks${missing ? ` (skipped: ${missing})` : ''}`, () => {
    const state = mkdtempSync(join(tmpdir(), 'weft-grpc-routes-'));
    let folder: ConfigFolder;
    let mesh: Mesh;
    let peer: LineProcess;
    let backends: Backend[];

    beforeAll(async () => {
      backends = [await grpcEcho('one'), await grpcEcho('two'), await grpcEcho('three')];
      folder = new ConfigFolder({ 'mesh.yaml': config(backends) });
      mesh = await startMesh({ config: [folder.path], xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
      expect(mesh.problems().filter(({ severity }) => severity === 'error')).toEqual([]);
      let bootstrap = '';
      await main(['bootstrap', 'grpc', '--control-plane', mesh.xds, '--workload', 'default/peer'], { stdout: (text) => (bootstrap += text), stderr: (text) => process.stderr.write(text) });
      writeFileSync(join(state, 'bootstrap.json'), bootstrap);
      peer = new LineProcess(command[0], command[1], { GRPC_XDS_BOOTSTRAP: join(state, 'bootstrap.json'), PYTHONPATH: available.grpcio.path ?? '' });
    });

    afterAll(async () => {
      await peer?.close();
      await mesh?.close();
      await Promise.all(backends.map((backend) => backend.close()));
      folder?.remove();
      rmSync(state, { recursive: true, force: true });
    });

    const ask = (to: string, metadata: [string, string][] = [], more: { count?: number; timeout?: number } = {}) => peer.ask<PeerAnswer[]>({ target: `xds:///${to}.test.internal:50051`, metadata, ...more });

    it('injects faults where the headers match', async () => {
      expect((await ask('faulty', [['x-fail', 'yes']]))[0]?.code).toBe(8);
      expect((await ask('faulty', [['x-slow', 'yes']], { timeout: 0.5 }))[0]?.code).toBe(4);
      expect((await ask('faulty'))[0]?.code).toBe(0);
    });

    it('hashes consistently by header', async () => {
      const all = new Set<string | undefined>();
      for (let user = 0; user < 30; user++) {
        const instances = new Set((await ask('hashed', [['x-user', `user-${user}`]], { count: 3 })).map(({ instance }) => instance));
        expect(instances.size).toBe(1);
        instances.forEach((instance) => all.add(instance));
      }
      expect(all).toEqual(new Set(['one', 'two', 'three']));
    });

    it('reaches a service by DNS name', async () => {
      expect((await ask('named'))[0]).toMatchObject({ code: 0, instance: 'one' });
    });

    it('goes its way where it cannot do what is asked beside it', async () => {
      expect((await ask('beyond'))[0]?.code).toBe(0);
      expect((await peer.ask<PeerAnswer[]>({ target: 'xds:///a.wild.internal:50051', metadata: [], timeout: 1 }))[0]?.code).not.toBe(0);
      expect((await ask('beyond'))[0]?.code).toBe(0);
    });

    it.each(['direct', 'lost'])('fails only the calls that have nowhere to go (%s)', async (to) => {
      expect((await ask(to))[0]?.code).toBe(14);
      expect((await ask('beyond'))[0]?.code).toBe(0);
    });

    it('never rejected a resource', () => {
      expect([...mesh.controlPlane.discovery.stats.rejects]).toEqual([]);
    });
  });
}
