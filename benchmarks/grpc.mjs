// Unary calls through the mesh against plain grpc-js channels, one a host, round robin, same TLS context.
import grpc from '@grpc/grpc-js';
import { createMesh } from '@weft/client';
import { acquireRuntime } from '@weft/data-plane/internal';
import { channelCredentials } from '@weft/spiffe';
import { benchMesh } from './support/bench-mesh.mjs';
import { compare } from './support/compare.mjs';
import { echoDefinition } from './support/echo-definition.mjs';

const bench = await benchMesh('grpc');
const mesh = createMesh();
await mesh.ready();
const { tls } = acquireRuntime();
const Echo = grpc.makeGenericClientConstructor(echoDefinition, 'Echo');
const plain = bench.ports.map((port) => new Echo(`127.0.0.1:${port}`, channelCredentials(tls, { expectedIds: ['spiffe://cluster.local/ns/default/sa/echo'] })));
const meshed = new Echo('echo.test:80', grpc.credentials.createInsecure(), mesh.grpc());
const payload = Buffer.alloc(128, 'x');
const call = (client) => new Promise((resolve, reject) => client.Echo(payload, (error, answer) => (error ? reject(error) : resolve(answer))));
let next = 0;
const ways = [
  { name: 'plain grpc-js channels, round robin (baseline)', once: () => call(plain[(next = (next + 1) % plain.length)]) },
  { name: 'grpc-js through the mesh', once: () => call(meshed) },
];
const [, ratio] = await compare(ways, { inFlight: 32 });
await compare(ways, { inFlight: 1, rounds: 5, milliseconds: 1000 });
console.log(`gRPC through the mesh / plain: ${ratio.toFixed(2)} (aim: 0.85 or more)`);
await mesh.close();
await bench.close();
process.exit(0);
