import type { Socket } from 'node:net';

/**
 * Ends a connection on which nothing arrived for an interval of pings and the time its answer may take. undici sends the pings, but
 * waits for their answers for ever.
 */
export function endWhenSilent(socket: Socket, { intervalMs, timeoutMs }: { intervalMs: number; timeoutMs: number }): void {
  let seen = socket.bytesRead;
  let silentSince = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    if (socket.bytesRead !== seen) {
      seen = socket.bytesRead;
      silentSince = now;
    } else if (now - silentSince >= intervalMs + timeoutMs) socket.destroy(new Error(`no answer to a ping in ${timeoutMs} ms`));
  }, Math.max(1, Math.min(intervalMs, timeoutMs) / 2)).unref();
  socket.once('close', () => clearInterval(timer));
}
