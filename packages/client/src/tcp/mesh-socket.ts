// A socket that is there before its connection, for drivers that make one and then say `connect` (pg, mysql2).
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import type { ConnectTarget, MeshConnector } from './mesh-connector.js';

export class MeshSocket extends Duplex {
  connecting = false;
  readonly #connector: MeshConnector;
  readonly #waiting: ((socket: Socket) => void)[] = [];
  readonly #abort = new AbortController();
  #socket: Socket | undefined;

  constructor(connector: MeshConnector) {
    super({ allowHalfOpen: false });
    this.#connector = connector;
  }

  /** As net.Socket's; the host and port are those of the mesh. */
  connect(port: number, host: string, onConnect?: () => void): this;
  connect(target: ConnectTarget, onConnect?: () => void): this;
  connect(target: ConnectTarget | number, second?: string | (() => void), third?: () => void): this {
    const onConnect = typeof second === 'function' ? second : third;
    if (onConnect) this.once('connect', onConnect);
    this.connecting = true;
    this.#connector.connect(typeof target === 'number' ? { host: typeof second === 'string' ? second : 'localhost', port: target } : target, { signal: this.#abort.signal }).then(
      (socket) => this.#connected(socket),
      (error: unknown) => this.destroy(error as Error),
    );
    return this;
  }

  get remoteAddress(): string | undefined {
    return this.#socket?.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket?.remotePort;
  }

  override _read(): void {
    this.#socket?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#use((socket) => void socket.write(chunk, done));
  }

  override _final(done: () => void): void {
    this.#use((socket) => void socket.end(() => done()));
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#abort.abort(error ?? new Error('the socket was destroyed'));
    this.#socket?.destroy();
    done(error);
  }

  setNoDelay(on?: boolean): this {
    this.#use((socket) => void socket.setNoDelay(on));
    return this;
  }

  setKeepAlive(on?: boolean, delay?: number): this {
    this.#use((socket) => void socket.setKeepAlive(on, delay));
    return this;
  }

  setTimeout(ms: number, onTimeout?: () => void): this {
    if (onTimeout) this.once('timeout', onTimeout);
    this.#use((socket) => void socket.setTimeout(ms, () => this.emit('timeout')));
    return this;
  }

  ref(): this {
    this.#use((socket) => void socket.ref());
    return this;
  }

  unref(): this {
    this.#use((socket) => void socket.unref());
    return this;
  }

  #connected(socket: Socket): void {
    if (this.destroyed) return void socket.destroy();
    this.#socket = socket;
    this.connecting = false;
    socket.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
    for (const use of this.#waiting.splice(0)) use(socket);
    this.emit('connect');
    this.emit('ready');
  }

  #use(fn: (socket: Socket) => void): void {
    if (this.#socket) fn(this.#socket);
    else this.#waiting.push(fn);
  }
}
