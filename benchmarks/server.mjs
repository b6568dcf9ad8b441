// What a request costs a server, in CPU time of its process: in the mesh against a bare server with the same TLS settings. Each server is a
// process of its own, the load comes from this one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { acquireRuntime, HeaderMap } from '@weft/data-plane/internal';
import { IstioTelemetry, Stats } from '@weft/data-plane/testing';
import { channelCredentials } from '@weft/spiffe';
import { controlPlane } from './support/bench-mesh.mjs';
import { echoDefinition } from './support/echo-definition.mjs';

const connections = 16;
const [rounds, requests] = [Number(process.env.WEFT_BENCH_ROUNDS ?? 7), 15_000];
const groups = [
  { ways: ['bare', 'mesh-plain'], aim: 1.5, requests },
  { ways: ['tls', 'mesh-tls', 'mesh-rbac'], aim: 1.5, requests },
  { ways: ['grpc', 'mesh-grpc'], aim: 1.25, requests: 6000 },
];
const names = {
  'bare': 'node:http (baseline)', 'mesh-plain': 'in the mesh, plain text',
  'tls': 'node:https, mutual TLS (baseline)', 'mesh-tls': 'in the mesh, STRICT', 'mesh-rbac': 'in the mesh, STRICT, a DENY and an ALLOW policy',
  'grpc': 'grpc-js, mutual TLS, unary (baseline)', 'mesh-grpc': 'gRPC in the mesh, STRICT',
};
const chosen = process.argv.slice(2);
const plane = await controlPlane(configuration(groups.flatMap(({ ways }) => ways).concat('client')));
Object.assign(process.env, await plane.environment('client', 'client'));
const runtime = acquireRuntime();
await runtime.ready();
// The headers by which a client of the mesh says who it is.
const mesh = { direction: 'outbound', headers: new HeaderMap([]) };
new IstioTelemetry({ stats: new Stats(), workload: { name: 'client', namespace: 'default', canonicalService: 'client', canonicalRevision: 'latest', cluster: 'Kubernetes' }, nodeId: 'weft~10.0.0.1~client-0000.default~default.svc.cluster.local' }).start(mesh, mesh);
mesh.headers.set('x-envoy-expected-rq-timeout-ms', '15000');

for (const { ways, aim, requests } of groups) {
  const servers = await Promise.all(ways.filter((way) => chosen.length === 0 || chosen.includes(way)).map(start));
  if (servers.length === 0) continue;
  const costs = servers.map(() => []);
  for (const server of servers) await server.measure(2 * requests);
  if (process.env.WEFT_BENCH_PROFILE) for (const server of servers) await server.profile(2 * requests);
  for (let round = 0; round < rounds; round += 1) for (const [index, server] of servers.entries()) costs[index].push(await server.measure(requests));
  const medians = costs.map((list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]);
  console.log(`${connections} connections, µs of CPU a request, median of ${rounds} interleaved rounds of ${requests} requests:`);
  for (const [index, { way }] of servers.entries()) {
    const spread = `${Math.min(...costs[index]).toFixed(1)} to ${Math.max(...costs[index]).toFixed(1)}`;
    const ratio = index === 0 ? 'baseline' : `ratio ${(medians[index] / medians[0]).toFixed(2)} (aim: ${aim} or less)`;
    console.log(`  ${names[way].padEnd(52)} ${medians[index].toFixed(1).padStart(7)} (${spread})   ${ratio}`);
  }
  for (const server of servers) await server.close();
}
await runtime.close();
await plane.close();
process.exit(0);

async function start(way) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('support/server-way.mjs', import.meta.url)), way], {
    env: { ...process.env, ...(await plane.environment(way, way)) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const ask = async (question) => {
    if (question) child.send(question);
    const [answer] = await once(child, 'message');
    return answer;
  };
  const { port } = await ask();
  const load = way.endsWith('grpc') ? grpcLoad(port, way) : await httpLoad(port, way);
  const measure = async (count) => {
    const before = await ask('cpu');
    const stop = stayAwake();
    await load.run(count);
    stop();
    const after = await ask('cpu');
    return (after.cpu - before.cpu) / count;
  };
  return {
    way,
    measure,
    async profile(count) {
      await ask('profile');
      await measure(count);
      await ask('stop');
    },
    async close() {
      load.close();
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

// Waking a sleeping process is charged to whoever sends: the slower server, whose client has time to sleep, would pay twice.
function stayAwake() {
  let awake = true;
  const spin = () => void (awake && setImmediate(spin));
  spin();
  return () => (awake = false);
}

/** Bytes over sockets of its own: as little as possible of this process's time beside the server's. */
async function httpLoad(port, way) {
  // A stranger on plain text, a client of the mesh on mutual TLS.
  const headers = way.startsWith('mesh') && way !== 'mesh-plain' ? [...mesh.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('') : '';
  const request = Buffer.from(`GET /orders/17?full=1 HTTP/1.1\r\nhost: payments\r\naccept: */*\r\nuser-agent: bench\r\n${headers}\r\n`);
  const identity = `spiffe://cluster.local/ns/default/sa/${way}`;
  const open = () => {
    if (way === 'bare' || way === 'mesh-plain') return connected(connectTcp(port, '127.0.0.1'), 'connect');
    return connected(connectTls({ ...runtime.tls.upstream({ expectedIds: [identity], alpn: ['http/1.1'] }), port, host: '127.0.0.1' }), 'secureConnect');
  };
  const sockets = new Set();
  const state = { left: 0, open: 0, done: () => {}, failed: () => {}, closing: false };
  const use = (socket) => {
    sockets.add(socket);
    let text = '';
    let length = 0;
    let received = 0;
    socket.on('error', (error) => state.failed(error));
    // A server that got a new identity asks its connections to leave.
    socket.on('close', () => {
      sockets.delete(socket);
      if (state.closing) return;
      open().then((fresh) => {
        use(fresh);
        if (state.open > 0) send(fresh);
      }, state.failed);
    });
    socket.on('data', (chunk) => {
      received += chunk.length;
      // Responses of a connection differ in nothing but their date: the first tells how long they are.
      if (length === 0) {
        text += chunk.toString('latin1');
        const end = text.indexOf('\r\n\r\n');
        if (end === -1) return;
        if (!text.startsWith('HTTP/1.1 200')) return void state.failed(new Error(`${way}: ${text}`));
        length = end + 4 + 128;
      }
      if (received < length) return;
      received = 0;
      send(socket);
    });
  };
  const send = (socket) => {
    if (state.left > 0) {
      state.left -= 1;
      socket.write(request);
    } else {
      state.open -= 1;
      if (state.open === 0) state.done();
    }
  };
  for (const socket of await Promise.all(Array.from({ length: connections }, open))) use(socket);
  return {
    run: (count) =>
      new Promise((resolve, reject) => {
        Object.assign(state, { left: count, open: sockets.size, done: resolve, failed: reject });
        for (const socket of [...sockets]) send(socket);
      }),
    close() {
      state.closing = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function connected(socket, event) {
  socket.setNoDelay(true);
  await once(socket, event);
  return socket;
}

function grpcLoad(port, way) {
  const Echo = grpc.makeGenericClientConstructor(echoDefinition, 'Echo');
  const client = new Echo(`127.0.0.1:${port}`, channelCredentials(runtime.tls, { expectedIds: [`spiffe://cluster.local/ns/default/sa/${way}`] }));
  const metadata = new grpc.Metadata();
  if (way === 'mesh-grpc') for (const [name, value] of mesh.headers) metadata.set(name, value);
  const payload = Buffer.alloc(128, 'x');
  const call = () => new Promise((resolve, reject) => client.Echo(payload, metadata, (error) => (error ? reject(error) : resolve())));
  return {
    async run(count) {
      let left = count;
      const caller = async () => {
        while (left > 0) {
          left -= 1;
          await call();
        }
      };
      await Promise.all(Array.from({ length: connections }, caller));
    },
    close: () => client.close(),
  };
}

function configuration(workloads) {
  const group = (name) => `apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: ${name} }
spec: { metadata: { labels: { app: ${name} } }, template: { serviceAccount: ${name}, ports: { main: 80 } } }
---
`;
  return `${workloads.map(group).join('')}apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: plain }
spec: { selector: { matchLabels: { app: mesh-plain } }, mtls: { mode: DISABLE } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny }
spec: { selector: { matchLabels: { app: mesh-rbac } }, action: DENY, rules: [{ to: [{ operation: { paths: ["/admin*", "/internal/*"] } }] }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: allow }
spec:
  selector: { matchLabels: { app: mesh-rbac } }
  rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/client] } }], to: [{ operation: { methods: [GET], paths: ["/orders/*"] } }] }]
`;
}
