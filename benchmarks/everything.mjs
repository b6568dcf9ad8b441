// mesh.request and gRPC calls with everything switched on that a route can carry, against the same bare baselines as `http` and `grpc`.
// Each in a process of its own: `everything.mjs http`, and `everything.mjs http observed` with breakers and an access log in code, too.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { Pool } from 'undici';
import { createMesh } from '@weft/client';
import { acquireRuntime } from '@weft/data-plane/internal';
import { channelCredentials } from '@weft/spiffe';
import { benchMesh } from './support/bench-mesh.mjs';
import { compare } from './support/compare.mjs';
import { echoDefinition } from './support/echo-definition.mjs';

const [protocol, observed] = process.argv.slice(2);
if (!protocol) {
  const ways = [['http'], ['http', 'observed'], ['grpc'], ['grpc', 'observed']];
  const failed = ways.some((way) => spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...way], { stdio: 'inherit' }).status !== 0);
  process.exit(failed ? 1 : 0);
}

const bench = await benchMesh(protocol, `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: echo }
spec:
  hosts: [echo.test]
  http:
    - { name: canary, match: [{ headers: { x-canary: { exact: "1" } } }], fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }, route: [{ destination: { host: echo.test } }] }
    - { name: admin, match: [{ uri: { prefix: /admin }, method: { exact: POST } }], route: [{ destination: { host: echo.test } }] }
    - { name: versioned, match: [{ uri: { regex: "/v[0-9]+/.*" } }], route: [{ destination: { host: echo.test } }] }
    - name: all
      headers: { request: { set: { x-from: bench }, add: { x-path: "%REQ(:path)%" } }, response: { remove: [x-internal], set: { x-served: mesh } } }
      timeout: 5s
      retries: { attempts: 3, perTryTimeout: 1s, retryOn: "5xx,reset,connect-failure,refused-stream,unavailable" }
      route: [{ destination: { host: echo.test }, weight: 90 }, { destination: { host: echo.test, subset: all }, weight: 10 }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: all }
spec:
  host: echo.test
  trafficPolicy:
    loadBalancer: { simple: LEAST_REQUEST }
    connectionPool: { tcp: { maxConnections: 1000 }, http: { http2MaxRequests: 1000, maxRetries: 100 } }
    outlierDetection: { consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s }
  subsets: [{ name: all, labels: { app: echo } }]
`);
let logged = 0;
const mesh = createMesh(observed ? { accessLog: () => logged++, breakers: { adaptive: { thresholdMs: 1000, minConcurrency: 64 }, errorRate: {} } } : {});
await mesh.ready();
const { tls } = acquireRuntime();
const identity = { expectedIds: ['spiffe://cluster.local/ns/default/sa/echo'] };
const { pools, ways } = protocol === 'http' ? overHttp() : overGrpc();
const [, ratio] = await compare(ways, { inFlight: 32 });
if (observed && logged === 0) throw new Error('nothing was logged');
console.log(`${protocol} with everything on${observed ? ', breakers and access log' : ''} / bare: ${ratio.toFixed(2)}`);
await Promise.all(pools.map((pool) => pool.close()));
await mesh.close();
await bench.close();
process.exit(0);

function overHttp() {
  const pools = bench.ports.map((port) => new Pool(`https://127.0.0.1:${port}`, { allowH2: false, connect: { ...tls.upstream({ ...identity, alpn: ['http/1.1'] }), maxCachedSessions: 0 } }));
  let next = 0;
  const consumed = async (response) => (await response).body.arrayBuffer();
  return {
    pools,
    ways: [
      { name: 'round robin over undici Pools (baseline)', once: () => consumed(pools[(next = (next + 1) % pools.length)].request({ method: 'GET', path: '/' })) },
      { name: 'mesh.request, everything on', once: () => consumed(mesh.request('http://echo.test/')) },
    ],
  };
}

function overGrpc() {
  const Echo = grpc.makeGenericClientConstructor(echoDefinition, 'Echo');
  const plain = bench.ports.map((port) => new Echo(`127.0.0.1:${port}`, channelCredentials(tls, identity)));
  const meshed = new Echo('echo.test:80', grpc.credentials.createInsecure(), mesh.grpc());
  const payload = Buffer.alloc(128, 'x');
  const call = (client) => new Promise((resolve, reject) => client.Echo(payload, (error, answer) => (error ? reject(error) : resolve(answer))));
  let next = 0;
  return {
    pools: [],
    ways: [
      { name: 'plain grpc-js channels, round robin (baseline)', once: () => call(plain[(next = (next + 1) % plain.length)]) },
      { name: 'grpc-js through the mesh, everything on', once: () => call(meshed) },
    ],
  };
}
