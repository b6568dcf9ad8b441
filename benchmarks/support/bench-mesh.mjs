// A control plane and one server process with three endpoints, for client benchmarks.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startMesh } from '@weft/cli';

/** A control plane in this process; `environment` makes a process a workload. */
export async function controlPlane(configuration) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  writeFileSync(join(folder, 'mesh.yaml'), configuration);
  // In this process it would share the client's event loop; but it is idle once everybody has subscribed.
  const mesh = await startMesh({ config: [join(folder, 'mesh.yaml')], dataDir: join(folder, 'data'), xdsPort: 0, xdsTlsPort: 0, httpPort: 0 });
  const environment = async (workload, account) => {
    const tokenFile = join(folder, `${workload}.token`);
    writeFileSync(tokenFile, await mesh.joinTokens.create({ workload: `default/${workload}`, identity: `default/${account}` }), { mode: 0o600 });
    return { WEFT_CONTROL_PLANE: mesh.xdsTls, WEFT_WORKLOAD: `default/${workload}`, WEFT_TOKEN_FILE: tokenFile };
  };
  const close = async () => {
    await mesh.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { environment, close };
}

/** Starts everything, and sets this process up as the workload `default/client`. */
export async function benchMesh(protocol, more = '') {
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const { environment, close } = await controlPlane(configuration(protocol, ports) + more);
  const server = spawn(process.execPath, [fileURLToPath(new URL('bench-server.mjs', import.meta.url)), protocol, ...ports.map(String)], {
    env: { ...process.env, ...(await environment('echo', 'echo')) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(server.stdout, 'data');
  Object.assign(process.env, await environment('client', 'client'));
  return {
    ports,
    async close() {
      server.kill('SIGKILL');
      await once(server, 'exit');
      await close();
    },
  };
}

function configuration(protocol, ports) {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: echo }
spec:
  hosts: [echo.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: main, protocol: ${protocol === 'grpc' ? 'GRPC' : 'HTTP'} }]
  endpoints:
${ports.map((port) => `    - { address: 127.0.0.1, ports: { main: ${port} }, serviceAccount: echo, labels: { app: echo } }`).join('\n')}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo }
spec:
  host: echo.test
  trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: echo }
spec: { metadata: { labels: { app: echo } }, template: { serviceAccount: echo, ports: { main: 80 } } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: client }
spec: { template: { serviceAccount: client } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
