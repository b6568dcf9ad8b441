// orders: Fastify; asks payments for its fees with undici and charges with gRPC.
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import Fastify from 'fastify';
import { request } from 'undici';
import { createMesh } from '@weft/client';
import { createMeshServer } from '@weft/server';

const mesh = createMesh();
const server = createMeshServer();
const { payments } = grpc.loadPackageDefinition(protoLoader.loadSync(new URL('payments.proto', import.meta.url).pathname));
const client = new payments.Payments('payments:50051', grpc.credentials.createInsecure(), mesh.grpc());

const app = Fastify();
app.get('/orders/:id', async (incoming, reply) => {
  const canary = incoming.headers['x-canary'];
  const metadata = new grpc.Metadata();
  if (canary) metadata.set('x-canary', canary);
  try {
    const { body } = await request('http://payments:8080/fees', { dispatcher: mesh.dispatcher });
    const fees = await body.json();
    const payment = await new Promise((resolve, reject) =>
      client.Charge({ order: incoming.params.id, cents: 1200 }, metadata, { deadline: Date.now() + 5000 }, (error, answer) => (error ? reject(error) : resolve(answer))),
    );
    return { order: incoming.params.id, fees, payment };
  } catch (error) {
    return reply.code(503).send({ error: error.message });
  }
});

await server.listen(app, { port: 0, host: '127.0.0.1', name: 'http' });
console.log('orders is in the mesh');
