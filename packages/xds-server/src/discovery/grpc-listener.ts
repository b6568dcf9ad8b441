import { Server, type ServerCredentials } from '@grpc/grpc-js';
import { createServer } from 'node:net';
import type { GrpcService } from './ads-service.js';

/** A port of the control plane that another process has. */
export class PortInUse extends Error {
  readonly code = 'EADDRINUSE';
  readonly address: string;
  constructor(what: string, address: string) {
    super(`${what}: ${address} is in use by another process`);
    this.name = 'PortInUse';
    this.address = address;
  }
}

/** `HOST:PORT`, with IPv6 addresses in brackets. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '');
  return plain === 'localhost' || plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

export interface GrpcListener {
  readonly address: string;
  close(): Promise<void>;
}

/** Opens a gRPC port. @throws {@link PortInUse} */
export async function listenGrpc(what: string, host: string, port: number, credentials: ServerCredentials, services: readonly GrpcService[]): Promise<GrpcListener> {
  await probe(what, host, port);
  const server = new Server({
    // A client that vanished without a word must be noticed: its endpoints are withdrawn by it.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.max_receive_message_length': 4 * 1024 * 1024,
    'grpc.max_concurrent_streams': 1000,
    // grpc-js lifts Node's limit altogether; megabytes.
    'grpc-node.max_session_memory': 256,
  });
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(hostPort(host, port), credentials, (error, number) => {
      if (!error) return resolve(number);
      server.forceShutdown();
      reject(/EADDRINUSE/.test(error.message) ? new PortInUse(what, hostPort(host, port)) : new Error(`${what}: cannot listen on ${hostPort(host, port)}: ${error.message}`, { cause: error }));
    });
  });
  return {
    address: hostPort(host, bound),
    close: () =>
      new Promise((resolve) => {
        const limit = setTimeout(() => server.forceShutdown(), 1000);
        server.tryShutdown(() => {
          clearTimeout(limit);
          resolve();
        });
      }),
  };
}

/** grpc-js writes several lines to stderr about a port that is taken, where one error is wanted. */
async function probe(what: string, host: string, port: number): Promise<void> {
  if (port === 0) return;
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? reject(new PortInUse(what, hostPort(host, port))) : resolve()));
    server.listen(port, host, () => server.close(() => resolve()));
  });
}
