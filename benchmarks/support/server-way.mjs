// One server of the benchmark `server`, bare or in the mesh: `server-way.mjs WAY`. Tells its port, then its CPU time whenever it is asked.
import { createServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { once } from 'node:events';
import { Session } from 'node:inspector/promises';
import { writeFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import { acquireRuntime } from '@weft/data-plane/internal';
import { createMeshServer } from '@weft/server';
import { MeshServerCredentials } from '@weft/spiffe';
import { echoDefinition } from './echo-definition.mjs';

const way = process.argv[2];
const payload = Buffer.alloc(128, 'x');
const respond = (_request, response) => response.end(payload);
const service = (options) => {
  const server = new grpc.Server(options);
  server.addService(echoDefinition, { Echo: (call, reply) => reply(null, call.request) });
  return server;
};

process.send({ port: await listen() });
const session = process.env.WEFT_BENCH_PROFILE && new Session();
session?.connect();
process.on('message', async (message) => {
  if (message === 'profile') {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: 200 });
    await session.post('Profiler.start');
  } else if (message === 'stop') {
    const { profile } = await session.post('Profiler.stop');
    writeFileSync(`${process.env.WEFT_BENCH_PROFILE}/${way}.cpuprofile`, JSON.stringify(profile));
  }
  const { user, system } = process.cpuUsage();
  process.send({ cpu: user + system });
});

async function listen() {
  if (way === 'bare') return portOf(createServer(respond));
  if (way.startsWith('mesh')) {
    const mesh = createMeshServer();
    const target = way === 'mesh-grpc' ? service(mesh.grpcOptions()) : createServer(respond);
    const { port } = await mesh.listen(target, { port: 0, host: '127.0.0.1', name: 'main' });
    await mesh.ready();
    return port;
  }
  const runtime = acquireRuntime();
  await runtime.ready();
  if (way === 'tls') return portOf(createHttpsServer(runtime.tls.serverOptions({ alpn: ['http/1.1'], requireClientCertificate: true }), respond));
  const server = service({});
  const bind = (done) => server.bindAsync('127.0.0.1:0', new MeshServerCredentials(runtime.tls, { requireClientCertificate: true }), done);
  return new Promise((resolve, reject) => bind((error, port) => (error ? reject(error) : resolve(port))));
}

async function portOf(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}
