// Limits of a connection whose bytes pass the engine by: silence in both directions, and age.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '@weft/spiffe';

/** Silence is looked for so many times in an idle timeout: asking the counters is cheaper than a timer at each chunk. */
const looks = 4;

export interface SocketLimits {
  /** 0 = none. */
  readonly idleTimeoutMs: number;
  readonly maxConnectionMs?: number | undefined;
}

/** Destroys the socket at a limit, and tells which before. */
export function watchSocket(socket: Socket, { idleTimeoutMs, maxConnectionMs }: SocketLimits, clock: Clock, onLimit: (limit: 'idle' | 'duration') => void): void {
  let silent = 0;
  let seen = socket.bytesRead + socket.bytesWritten;
  let idle: Timer | undefined;
  const end = (limit: 'idle' | 'duration') => {
    onLimit(limit);
    socket.destroy();
  };
  const look = () => {
    const now = socket.bytesRead + socket.bytesWritten;
    silent = now === seen ? silent + 1 : 0;
    seen = now;
    if (silent >= looks) end('idle');
    else idle = clock.setTimeout(look, idleTimeoutMs / looks);
  };
  if (idleTimeoutMs > 0) idle = clock.setTimeout(look, idleTimeoutMs / looks);
  const age = maxConnectionMs === undefined || maxConnectionMs === 0 ? undefined : clock.setTimeout(() => end('duration'), maxConnectionMs);
  socket.once('close', () => {
    idle?.cancel();
    age?.cancel();
  });
}
