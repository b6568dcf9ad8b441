// Three endpoints of one service in one process: `bench-server.mjs http|grpc PORT PORT PORT`.
import { createServer } from 'node:http';
import grpc from '@grpc/grpc-js';
import { createMeshServer } from '@weft/server';
import { echoDefinition } from './echo-definition.mjs';

const [protocol, ...ports] = process.argv.slice(2);
const mesh = createMeshServer();
const payload = Buffer.alloc(128, 'x');
for (const port of ports.map(Number)) {
  if (protocol === 'grpc') {
    const server = new grpc.Server(mesh.grpcOptions());
    server.addService(echoDefinition, { Echo: (call, reply) => reply(null, call.request) });
    await mesh.listen(server, { port, host: '127.0.0.1', name: 'main' });
  } else {
    const server = createServer((request, response) => response.end(payload));
    await mesh.listen(server, { port, host: '127.0.0.1', name: 'main' });
  }
}
process.stdout.write('ready\n');
