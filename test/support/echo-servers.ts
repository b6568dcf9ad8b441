// Plain backends outside the mesh: they answer with who they are and what they were asked.
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import grpc from '@grpc/grpc-js';

export interface Backend {
  readonly instance: string;
  readonly port: number;
  /** Requests seen, retries included. */
  readonly seen: { path: string; headers: Record<string, string> }[];
  close(): Promise<void>;
}

/** JSON over gRPC, so that peers in any language can call it without generated code. */
export const echoService = {
  Echo: {
    path: '/test.Echo/Echo',
    requestStream: false as const,
    responseStream: false as const,
    requestSerialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
    requestDeserialize: (bytes: Buffer) => JSON.parse(bytes.toString() || '{}') as unknown,
    responseSerialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
    responseDeserialize: (bytes: Buffer) => JSON.parse(bytes.toString()) as EchoReply,
  },
};

export interface EchoReply {
  instance: string;
  metadata: Record<string, string>;
}

/** Fails with UNAVAILABLE (HTTP: 503) as long as `failures()` says so. */
export async function grpcEcho(instance: string, failures: () => boolean = () => false): Promise<Backend> {
  const seen: Backend['seen'] = [];
  const server = new grpc.Server();
  server.addService(echoService as unknown as grpc.ServiceDefinition, {
    Echo(call: grpc.ServerUnaryCall<unknown, EchoReply>, reply: grpc.sendUnaryData<EchoReply>) {
      const metadata = Object.fromEntries(Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)]));
      seen.push({ path: call.getPath(), headers: metadata });
      if (failures()) reply({ code: grpc.status.UNAVAILABLE, details: 'told to fail' });
      else reply(null, { instance, metadata });
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return { instance, port, seen, close: async () => server.forceShutdown() };
}

export async function httpEcho(instance: string, failures: () => boolean = () => false): Promise<Backend> {
  const seen: Backend['seen'] = [];
  const server: Server = createServer((request, response) => {
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    seen.push({ path: request.url ?? '', headers });
    response.statusCode = failures() ? 503 : 200;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ instance, path: request.url, headers }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    instance,
    port: (server.address() as AddressInfo).port,
    seen,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
