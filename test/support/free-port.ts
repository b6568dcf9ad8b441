import { createServer, type Server } from 'node:net';

// Below the ports that systems give to those who ask for any, which is what everybody else does; and apart for each of vitest's workers.
// Envoy shares its ports: two of them on one would not even notice.
const perWorker = 5000;
const first = 10_000 + (Number(process.env['VITEST_POOL_ID'] ?? 0) % 4) * perWorker;
let next = Math.floor(Math.random() * perWorker);

/** A port that was free a moment ago, for programs that must be told their port. */
export async function freePort(): Promise<number> {
  const { port, release } = await heldPort();
  await release();
  return port;
}

/** The same, kept until it is released: nobody else is given it meanwhile. */
export async function heldPort(): Promise<{ port: number; release(): Promise<void> }> {
  for (;;) {
    const port = first + (next++ % perWorker);
    const server = await listening(port);
    if (server) return { port, release: () => new Promise((resolve) => server.close(() => resolve())) };
  }
}

function listening(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
