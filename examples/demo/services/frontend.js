// frontend: Express; calls orders with the global fetch.
import express from 'express';
import { createMesh } from '@weft/client';
import { createMeshServer } from '@weft/server';

const mesh = createMesh();
mesh.install();
const server = createMeshServer();

const app = express();
app.get('/orders/:id', async (request, response) => {
  const canary = request.get('x-canary');
  const answer = await fetch(`http://orders/orders/${request.params.id}`, { headers: canary ? { 'x-canary': canary } : {} });
  response.status(answer.status).json(await answer.json());
});
app.get('/mesh', (request, response) => response.json(mesh.status()));

const { port } = await server.listen(app, { port: Number(process.env.PORT ?? 8080), host: '127.0.0.1', name: 'http' });
console.log(`frontend is in the mesh, http://127.0.0.1:${port}/orders/1`);
