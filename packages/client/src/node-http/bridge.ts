import type { Duplex } from 'node:stream';

/** Both ways, each at the pace of its reader; the end of one way leaves the other open, a break of one side breaks both. */
export function bridge(a: Duplex, b: Duplex): void {
  a.allowHalfOpen = b.allowHalfOpen = true;
  a.pipe(b);
  b.pipe(a);
  joinEnds(a, b);
  joinEnds(b, a);
}

function joinEnds(one: Duplex, other: Duplex): void {
  one.on('error', () => other.destroy());
  one.once('close', () => {
    if (!one.readableEnded || !one.writableFinished) other.destroy();
  });
}
