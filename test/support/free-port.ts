import { createServer } from 'node:net';
import { once } from 'node:events';

/** A port that was free a moment ago, for programs that must be told their port. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** The same, kept until it is released: nobody else is given it meanwhile. */
export async function heldPort(): Promise<{ port: number; release(): Promise<void> }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    release: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
