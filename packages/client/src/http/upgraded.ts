// A connection that has left HTTP (101): bytes pass the engine by, which wants to know how many there were, and when it is over.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { StreamEnd } from '@weft/data-plane/internal';

/** Silence is looked for so many times in an idle timeout. */
const looks = 4;

/** @param idleTimeoutMs of silence in both directions, after which the connection is closed; 0 = never. */
export function watchUpgraded(socket: Duplex, idleTimeoutMs: number, onEnd: (end: StreamEnd) => void): void {
  const count = socket instanceof Socket ? socketBytes(socket) : streamBytes(socket);
  let silent = 0;
  let seen = 0;
  const timer = idleTimeoutMs > 0 ? setInterval(() => {
    const { bytesSent, bytesReceived } = count();
    silent = bytesSent + bytesReceived === seen ? silent + 1 : 0;
    seen = bytesSent + bytesReceived;
    if (silent >= looks) socket.destroy();
  }, idleTimeoutMs / looks) : undefined;
  timer?.unref();
  socket.once('close', () => {
    clearInterval(timer);
    onEnd(count());
  });
}

function socketBytes(socket: Socket): () => StreamEnd {
  const { bytesRead, bytesWritten, readableLength } = socket;
  // What came with the head has been put back into the socket.
  return () => ({ bytesSent: socket.bytesWritten - bytesWritten, bytesReceived: socket.bytesRead - bytesRead + readableLength });
}

/** A stream of HTTP/2 shares its connection: what passes is counted on the way. */
function streamBytes(stream: Duplex): () => StreamEnd {
  const end = { bytesSent: 0, bytesReceived: 0 };
  const { push, write } = stream;
  stream.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    end.bytesReceived += chunk?.length ?? 0;
    return push.call(stream, chunk, encoding);
  };
  stream.write = ((chunk: Buffer | string, ...rest: [never, never]) => {
    end.bytesSent += Buffer.byteLength(chunk);
    return write.call(stream, chunk, ...rest);
  }) as typeof stream.write;
  return () => end;
}
