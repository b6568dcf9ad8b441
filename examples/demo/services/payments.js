// payments: a gRPC service (and a small HTTP page of fees), on ports the system chooses.
import { createServer } from 'node:http';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { createMeshServer } from '@weft/server';

const { VERSION = 'v1', INSTANCE = 'payments' } = process.env;
const { payments } = grpc.loadPackageDefinition(protoLoader.loadSync(new URL('payments.proto', import.meta.url).pathname));

const mesh = createMeshServer();
const server = new grpc.Server(mesh.grpcOptions());
server.addService(payments.Payments.service, {
  Charge(call, reply) {
    const names = call.getAuthContext().sslPeerCertificate?.subjectaltname ?? '';
    reply(null, { receipt: `${call.request.order}-paid`, version: VERSION, instance: INSTANCE, caller: names.replace('URI:', '') });
  },
});
const fees = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ percent: 3, version: VERSION }));
});

await mesh.listen(server, { port: 0, host: '127.0.0.1', name: 'grpc' });
await mesh.listen(fees, { port: 0, host: '127.0.0.1', name: 'http-fees' });
console.log(`${INSTANCE} (${VERSION}) is in the mesh`);
