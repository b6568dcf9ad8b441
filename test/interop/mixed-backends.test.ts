// One gRPC service with a Weft workload and a C-core server behind it, called by C-core, grpc-js-xds and Weft.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { main } from '@weft/cli';
import { peers } from '../../scripts/peers.mjs';
import { echoService, type EchoReply } from '../support/echo-servers.js';
import { LineProcess, type PeerAnswer } from '../support/line-process.js';
import { groupYaml, serviceYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

const { grpcio } = peers();
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

describe.skipIf(grpcio.missing !== undefined)(`a service of Weft and C-core backends${grpcio.missing ? ` (skipped: ${grpcio.missing})` : ''}`, () => {
  let mesh: TestMesh;
  let caller: TestWorkload;
  const closing: LineProcess[] = [];
  const peersByName = new Map<string, LineProcess>();
  /** Certificates that the Weft backend saw: `plain` for calls without. */
  const seen = new Set<string>();

  beforeAll(async () => {
    const environment = { PYTHONPATH: grpcio.path ?? '' };
    const foreign = new LineProcess('python3', [file('c-core-server.py'), 'c-core'], environment);
    closing.push(foreign);
    const { port } = await foreign.ask<{ port: number }>('port');
    mesh = await TestMesh.start({
      'mesh.yaml': `${serviceYaml('mixed')}${groupYaml('caller', 'caller')}---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: c-core }
spec: { address: 127.0.0.1, ports: { grpc: ${port} }, labels: { app: mixed } }
`,
    });
    const weft = await mesh.workload('mixed');
    const server = new grpc.Server(weft.server.grpcOptions());
    server.addService(echoService as unknown as grpc.ServiceDefinition, {
      Echo: (call: grpc.ServerUnaryCall<unknown, EchoReply>, reply: grpc.sendUnaryData<EchoReply>) => {
        seen.add(call.getAuthContext()?.sslPeerCertificate?.subjectaltname ?? 'plain');
        reply(null, { instance: 'weft', metadata: {} });
      },
    });
    await weft.server.listen(server, { port: 0, host: '127.0.0.1' });
    caller = await mesh.workload('caller');
    let bootstrap = '';
    await main(['bootstrap', 'grpc', '--control-plane', mesh.controlPlane.xds, '--workload', 'default/peer'], { stdout: (text) => (bootstrap += text), stderr: (text) => process.stderr.write(text) });
    const path = join(mesh.config.path, '..', `weft-mixed-${process.pid}.json`);
    writeFileSync(path, bootstrap);
    const env = { ...environment, GRPC_XDS_BOOTSTRAP: path };
    peersByName.set('C-core', new LineProcess('python3', [file('c-core-client.py')], env));
    peersByName.set('grpc-js-xds', new LineProcess(process.execPath, [file('grpc-js-xds-client.mjs')], env));
    closing.push(...peersByName.values());
  });

  afterAll(async () => {
    await Promise.all(closing.map((process) => process.close()));
    await mesh?.close();
  });

  it.each(['C-core', 'grpc-js-xds'])('%s reaches both in plain text', async (name) => {
    seen.clear();
    await vi.waitFor(async () => {
      const answers = await peersByName.get(name)!.ask<PeerAnswer[]>({ target: 'xds:///mixed:50051', count: 20 });
      expect(answers.filter(({ code }) => code !== 0)).toEqual([]);
      expect(new Set(answers.map(({ instance }) => instance))).toEqual(new Set(['weft', 'c-core']));
    }, { timeout: 10_000, interval: 100 });
    expect(seen).toEqual(new Set(['plain']));
  });

  it('Weft reaches the one with mutual TLS and the other in plain text', async () => {
    seen.clear();
    const Client = grpc.makeGenericClientConstructor(echoService as unknown as grpc.ServiceDefinition, 'Echo');
    const client = new Client('mixed:50051', grpc.credentials.createInsecure(), caller.client.grpc()) as unknown as { Echo(request: unknown, done: (error: Error | null, reply: EchoReply) => void): void; close(): void };
    const instances = new Set<string>();
    for (let i = 0; i < 30; i += 1) instances.add((await new Promise<EchoReply>((resolve, reject) => client.Echo({}, (error, reply) => (error ? reject(error) : resolve(reply))))).instance);
    client.close();
    expect(instances).toEqual(new Set(['weft', 'c-core']));
    expect(seen).toEqual(new Set(['URI:spiffe://cluster.local/ns/default/sa/caller']));
  });

  it('never rejected a resource', () => {
    expect([...mesh.controlPlane.controlPlane.discovery.stats.rejects]).toEqual([]);
  });
});
