// A host with several addresses: the next is tried where one fails, or takes too long (RFC 8305, with Envoy's order and delay).
import { isIP } from 'node:net';
import type { HappyEyeballsConfig, HostAddress } from '../resource/cluster-config.js';

/** Envoy's. */
const nextAfterMs = 300;

/** Families take turns, that of the first address first; of that one `firstCount` before the first turn. */
export function interleaved(addresses: readonly HostAddress[], { firstFamily, firstCount = 1 }: HappyEyeballsConfig = {}): HostAddress[] {
  const family = ({ address }: HostAddress) => isIP(address);
  const wanted = firstFamily === 'ipv4' ? 4 : firstFamily === 'ipv6' ? 6 : family(addresses[0] as HostAddress);
  const first = addresses.filter((address) => family(address) === wanted);
  const others = addresses.filter((address) => family(address) !== wanted);
  const order: HostAddress[] = [];
  while (first.length > 0 || others.length > 0) {
    order.push(...first.splice(0, firstCount));
    order.push(...others.splice(0, 1));
  }
  return order;
}

type Done<T> = (error: Error | null, socket: T | null) => void;

/** The first that succeeds wins, the others are stopped. Fails with the error of the first address when all failed. */
export function race<T, E extends Error>(attempts: readonly ((done: (error: E | null, socket: T | null) => void) => () => void)[], callback: (error: E | null, socket: T | null) => void): () => void {
  const running = new Set<() => void>();
  let next = 0;
  let firstError: E | undefined;
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    over = true;
    clearTimeout(timer);
    for (const end of running) end();
    running.clear();
  };
  const start = () => {
    clearTimeout(timer);
    const attempt = attempts[next++];
    if (!attempt || over) return;
    let ended = false;
    let end: (() => void) | undefined;
    const done: Done<T> = (error, socket) => {
      ended = true;
      if (end) running.delete(end);
      if (over) return;
      if (socket) {
        stop();
        return callback(null, socket);
      }
      firstError ??= error as E;
      if (next < attempts.length) start();
      else if (running.size === 0) {
        over = true;
        callback(firstError, null);
      }
    };
    end = attempt(done);
    if (ended) return;
    running.add(end);
    if (next < attempts.length) timer = setTimeout(start, nextAfterMs).unref();
  };
  start();
  return stop;
}
