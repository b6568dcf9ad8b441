// What a client speaks, from its first bytes: TLS, HTTP/2 with prior knowledge, or HTTP/1.
import type { Socket } from 'node:net';
import type { Clock } from '@weft/data-plane/internal';
import { opening } from './client-hello.js';

export type FirstBytes = 'tls' | 'http2' | 'http1';

const preface = Buffer.from('PRI ');

/** Leaves the bytes in the socket. Undefined: the client went away, or said nothing for `timeoutMs`. */
export function peek(socket: Socket, timeoutMs: number, clock: Clock): Promise<FirstBytes | undefined> {
  return new Promise((resolve) => {
    let seen: Buffer = Buffer.alloc(0);
    const done = (result: FirstBytes | undefined) => {
      timer.cancel();
      socket.off('readable', onReadable).off('end', onGone).off('close', onGone).off('error', onGone);
      if (result !== undefined) socket.unshift(seen);
      resolve(result);
    };
    const onGone = () => done(undefined);
    const onReadable = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const result = classify(seen);
      if (result) done(result);
    };
    const timer = clock.setTimeout(onGone, timeoutMs);
    socket.on('readable', onReadable).on('end', onGone).on('close', onGone).on('error', onGone);
    if (socket.destroyed) onGone();
  });
}

function classify(bytes: Buffer): FirstBytes | undefined {
  // A TLS record of type handshake. No HTTP method begins with this byte.
  if (bytes[0] === 0x16) return 'tls';
  const length = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, length, 0, length) !== 0) return 'http1';
  return bytes.length >= preface.length ? 'http2' : undefined;
}

/** Whether a client begins the mesh's TLS, and not bytes of its own. One that is silent for `timeoutMs` does not; undefined: it went away. */
export function startsMeshTls(socket: Socket, timeoutMs: number, clock: Clock): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    let seen: Buffer = Buffer.alloc(0);
    const done = (result: boolean | undefined) => {
      timer.cancel();
      socket.off('readable', onReadable).off('end', onEnd).off('close', onClose).off('error', onClose);
      if (result !== undefined && seen.length > 0) socket.unshift(seen);
      resolve(result);
    };
    const onReadable = () => {
      const chunk = socket.read() as Buffer | null;
      if (!chunk) return;
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const found = opening(seen);
      if (found) done(found === 'mesh');
    };
    const onEnd = () => done(false);
    const onClose = () => done(undefined);
    const timer = clock.setTimeout(() => done(false), timeoutMs);
    socket.on('readable', onReadable).once('end', onEnd).once('close', onClose).once('error', onClose);
  });
}
