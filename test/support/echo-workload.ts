// A workload that answers on HTTP and gRPC with its name.
import { createServer } from 'node:http';
import grpc from '@grpc/grpc-js';
import { echoService, type EchoReply } from './echo-servers.js';
import type { TestWorkload } from './test-mesh.js';

export async function serveEcho({ server }: TestWorkload, instance: string): Promise<{ http: number; grpc: number }> {
  const app = createServer((_incoming, response) => response.end(instance));
  const service = new grpc.Server(server.grpcOptions());
  service.addService(echoService as unknown as grpc.ServiceDefinition, {
    Echo: (_call: grpc.ServerUnaryCall<unknown, EchoReply>, reply: grpc.sendUnaryData<EchoReply>) => reply(null, { instance, metadata: {} }),
  });
  return { http: (await server.listen(app, { port: 0, host: '127.0.0.1' })).port, grpc: (await server.listen(service, { port: 0, host: '127.0.0.1' })).port };
}
