// grpc-js-xds as a client of the mesh, in a process of its own: its registration is global and it crashes on some resources.
import { createInterface } from 'node:readline';
import grpc from '@grpc/grpc-js';
import * as xds from '@grpc/grpc-js-xds';

xds.register();
const clients = new Map();
for await (const line of createInterface({ input: process.stdin })) {
  const { target, metadata = [], count = 1, timeout = 10 } = JSON.parse(line);
  const client = clients.get(target) ?? new grpc.Client(target, grpc.credentials.createInsecure());
  clients.set(target, client);
  const results = [];
  for (let i = 0; i < count; i += 1) {
    const sent = new grpc.Metadata();
    for (const [name, value] of metadata) sent.add(name, value);
    results.push(
      await new Promise((resolve) => {
        const done = (error, answer) => resolve(error ? { code: error.code, details: error.details } : { code: 0, instance: JSON.parse(answer).instance });
        client.makeUnaryRequest('/test.Echo/Echo', (value) => value, (bytes) => bytes, Buffer.from('{}'), sent, { deadline: Date.now() + timeout * 1000 }, done);
      }),
    );
  }
  process.stdout.write(`${JSON.stringify(results)}\n`);
}
