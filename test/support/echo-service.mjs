// A service of the mesh in a process of its own: HTTP and gRPC answer with INSTANCE after DELAY ms. CLUSTER = number of workers that share PORT.
import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { createMeshServer } from '@weft/server';
import grpc from '@grpc/grpc-js';

const { INSTANCE = 'child', DELAY = '0', CLUSTER = '0', PORT = '0' } = process.env;

if (cluster.isPrimary && Number(CLUSTER) > 0) {
  for (let i = 0; i < Number(CLUSTER); i += 1) cluster.fork({ INSTANCE: `${INSTANCE}-${i}` });
  cluster.on('message', (_worker, message) => process.send(message));
} else {
  const mesh = createMeshServer({ handleSigterm: true, drainDelayMs: 200 });
  const later = (run) => setTimeout(run, Number(DELAY));
  const http = createServer((_request, response) => later(() => response.end(INSTANCE)));
  const rpc = new grpc.Server(mesh.grpcOptions());
  const json = { serialize: (value) => Buffer.from(JSON.stringify(value)), deserialize: (bytes) => JSON.parse(bytes.toString() || '{}') };
  const method = { path: '/test.Echo/Echo', requestStream: false, responseStream: false, requestSerialize: json.serialize, requestDeserialize: json.deserialize, responseSerialize: json.serialize, responseDeserialize: json.deserialize };
  rpc.addService({ Echo: method }, { Echo: (_call, reply) => later(() => reply(null, { instance: INSTANCE, metadata: {} })) });
  const { port } = await mesh.listen(http, { port: Number(PORT), host: '127.0.0.1' });
  if (CLUSTER === '0') await mesh.listen(rpc, { port: 0, host: '127.0.0.1' });
  await mesh.ready(AbortSignal.timeout(15_000));
  process.send({ pid: process.pid, port });
}
