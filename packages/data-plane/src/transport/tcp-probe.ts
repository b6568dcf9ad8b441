import type { Socket } from 'node:net';
import type { HealthCheckConfig } from '../resource/cluster-config.js';
import type { HealthProbe, ProbeResult } from '../upstream/health/health-probe.js';
import { inOrder } from './payloads.js';

type TcpCheck = Extract<HealthCheckConfig['check'], { kind: 'tcp' }>;
type Connect = (done: (error: Error | null, socket: Socket | null) => void) => () => void;

// Of an answer that never matches: enough for every greeting.
const longestAnswer = 65_536;

/** Sends, and waits for what it expects; without expectations, that a connection can be made is enough. */
export function tcpProbe({ send, receive }: TcpCheck, connect: Connect, reuse: boolean): HealthProbe {
  let kept: Socket | undefined;
  const drop = (socket: Socket | undefined) => {
    socket?.destroy();
    if (kept === socket) kept = undefined;
  };
  return {
    run(done) {
      let over = false;
      let stopConnecting: (() => void) | undefined;
      let socket: Socket | undefined;
      let received = Buffer.alloc(0);
      const end = (result: ProbeResult, keep: boolean) => {
        if (over) return;
        over = true;
        socket?.removeListener('data', onData).removeListener('close', onClose);
        // A connection of which nothing is expected would tell nothing a second time.
        if (keep && reuse && receive.length > 0) kept = socket;
        else drop(socket);
        done(result);
      };
      const failed = (reason: string) => end({ healthy: false, network: true, retriable: false, reason }, false);
      const onData = (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]).subarray(0, longestAnswer);
        if (receive.length > 0 && inOrder(received, receive)) end({ healthy: true, degraded: false }, true);
      };
      const onClose = () => failed('the connection was closed');
      const ask = (connected: Socket) => {
        if (over) return connected.destroy();
        socket = connected;
        socket.unref();
        if (receive.length === 0) return end({ healthy: true, degraded: false }, false);
        socket.on('data', onData).on('close', onClose);
        if (send !== '') socket.write(Buffer.from(send, 'hex'));
      };
      queueMicrotask(() => {
        if (over) return;
        if (kept && !kept.destroyed && kept.writable) return ask(kept);
        try {
          stopConnecting = connect((error, connected) => (connected ? ask(connected) : failed(error?.message ?? 'no connection')));
        } catch (error) {
          failed((error as Error).message);
        }
      });
      return () => {
        over = true;
        stopConnecting?.();
        socket?.removeListener('data', onData).removeListener('close', onClose);
        drop(socket);
      };
    },
    close: () => drop(kept),
  };
}
