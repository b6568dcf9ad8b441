// Two ends of a connection within the process, with what node:http expects of a socket. Chunks pass by reference.
import { Duplex } from 'node:stream';

const highWaterMark = 65_536;

export class InProcessSocket extends Duplex {
  readonly connecting = false;
  /** Runs what comes in on this end in the caller's async context: trace, deadline and cancellation of the request it works on. */
  run: <T>(fn: () => T) => T = (fn) => fn();
  #peer: InProcessSocket | undefined;
  #pushed: (() => void) | undefined;
  #idle: NodeJS.Timeout | undefined;

  private constructor() {
    super({ highWaterMark, allowHalfOpen: true });
  }

  static pair(): [client: InProcessSocket, server: InProcessSocket] {
    const [client, server] = [new InProcessSocket(), new InProcessSocket()];
    // As sockets of net.connect: who is told of the end and does nothing is not left half open.
    client.allowHalfOpen = false;
    client.#peer = server;
    server.#peer = client;
    return [client, server];
  }

  get peer(): InProcessSocket {
    return this.#peer!;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const { peer } = this;
    this.#idle?.refresh();
    if (peer.destroyed) return done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    peer.#idle?.refresh();
    if (peer.push(chunk)) done();
    else peer.#pushed = done;
  }

  override _read(): void {
    const pushed = this.#pushed;
    this.#pushed = undefined;
    pushed?.();
  }

  override _final(done: () => void): void {
    this.peer.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#idle);
    this._read();
    // What was written to its end may still be read by the other side; anything else is a connection that broke.
    if (!this.writableFinished) process.nextTick(() => this.peer.destroy());
    done(error);
  }

  // The part of net.Socket that node:http and its clients call.

  setTimeout(ms: number, onTimeout?: () => void): this {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    if (ms > 0) {
      this.#idle = setTimeout(() => this.emit('timeout'), ms);
      this.#idle.unref();
    }
    if (onTimeout) {
      if (ms > 0) this.once('timeout', onTimeout);
      else this.off('timeout', onTimeout);
    }
    return this;
  }

  destroySoon(): void {
    if (this.writableFinished) this.destroy();
    else this.end(() => this.destroy());
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
