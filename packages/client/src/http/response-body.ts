// The body that mesh.request resolves with: a Readable with undici's shortcuts. A body read by a shortcut never passes through
// the stream machinery, which costs more than the rest of a small response.
import { Readable } from 'node:stream';

/** Where the bytes come from. */
export interface BodySource {
  resume(): void;
  abort(reason?: Error): void;
}

type Form = 'text' | 'json' | 'arrayBuffer' | 'bytes' | 'blob';

interface Consumer {
  readonly form: Form;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const defaultHighWaterMark = 65_536;
const dumpLimit = 131_072;

export class ResponseBody extends Readable {
  readonly #source: BodySource;
  readonly #contentType: string;
  readonly #highWaterMark: number;
  #chunks: Buffer[] = [];
  #length = 0;
  #consumer: Consumer | undefined;
  #consumed = false;
  /** Somebody reads it as a stream. */
  #streaming = false;
  #received = false;
  #failure: Error | undefined;
  #web: ReadableStream | undefined;

  constructor(source: BodySource, contentType: string, highWaterMark: number = defaultHighWaterMark) {
    super({ highWaterMark });
    this.#source = source;
    this.#contentType = contentType;
    this.#highWaterMark = highWaterMark;
  }

  // From the exchange.

  /** @returns false when the source should pause. */
  receive(chunk: Buffer): boolean {
    if (this.#streaming) return this.push(chunk);
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    return this.#consumer !== undefined || this.#length < this.#highWaterMark;
  }

  complete(): void {
    this.#received = true;
    if (this.#consumer) this.#deliver(this.#consumer);
    else if (this.#streaming) this.push(null);
  }

  fail(error: Error): void {
    this.#failure = error;
    if (this.#consumer) {
      this.#consumer.reject(error);
      this.#consumer = undefined;
    }
    // An error nobody listens for must not take the process down; whoever reads later gets it from the stream's state.
    if (this.listenerCount('error') === 0) this.on('error', () => undefined);
    this.destroy(error);
  }

  // To the application.

  text(): Promise<string> {
    return this.#consume('text') as Promise<string>;
  }

  json(): Promise<unknown> {
    return this.#consume('json');
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#consume('arrayBuffer') as Promise<ArrayBuffer>;
  }

  bytes(): Promise<Uint8Array> {
    return this.#consume('bytes') as Promise<Uint8Array>;
  }

  blob(): Promise<Blob> {
    return this.#consume('blob') as Promise<Blob>;
  }

  get bodyUsed(): boolean {
    return this.#consumed || Readable.isDisturbed(this);
  }

  /** As a web stream. */
  get body(): ReadableStream {
    this.#web ??= Readable.toWeb(this) as ReadableStream;
    return this.#web;
  }

  /** Reads the body away, so that its connection can be used again; a longer one than `limit` bytes (128 KiB) costs the connection. */
  async dump(options?: { limit?: number; signal?: AbortSignal }): Promise<null> {
    options?.signal?.throwIfAborted();
    if (this.#consumed || this.destroyed || this.readableEnded) return null;
    const limit = options?.limit ?? dumpLimit;
    let length = 0;
    const onAbort = () => this.destroy(options!.signal!.reason as Error);
    options?.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for await (const chunk of this) if ((length += (chunk as Buffer).length) > limit) break;
    } catch (error) {
      if (options?.signal?.aborted) throw error;
    } finally {
      options?.signal?.removeEventListener('abort', onAbort);
    }
    return null;
  }

  override _read(): void {
    if (!this.#streaming) {
      this.#streaming = true;
      for (const chunk of this.#chunks) this.push(chunk);
      this.#chunks = [];
      if (this.#received) this.push(null);
    }
    if (!this.#received) this.#source.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#chunks = [];
    if (!this.#received && !this.#failure) this.#source.abort(error ?? undefined);
    // One tick later, so that whoever awaits the response can still listen for the error.
    setImmediate(callback, error);
  }

  #consume(form: Form): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      if (this.bodyUsed || this.#streaming || this.destroyed) return reject(new TypeError('the body is unusable: it was read already'));
      this.#consumed = true;
      const consumer = { form, resolve, reject };
      if (this.#received) return this.#deliver(consumer);
      this.#consumer = consumer;
      // Gone without an end: destroyed by the application itself.
      this.once('close', () => {
        if (this.#consumer) reject(this.#failure ?? new DOMException('The body was aborted', 'AbortError'));
      });
      this.#source.resume();
    });
  }

  #deliver(consumer: Consumer): void {
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#length);
    this.#consumer = undefined;
    this.#chunks = [];
    try {
      consumer.resolve(convert(bytes, consumer.form, this.#contentType));
    } catch (error) {
      consumer.reject(error as Error);
    }
    // As a stream it is at its end too.
    this.destroy();
  }
}

function convert(bytes: Buffer, form: Form, contentType: string): unknown {
  switch (form) {
    case 'text': return decode(bytes);
    case 'json': return JSON.parse(decode(bytes));
    // Copies: a chunk may be a view into a pool that other bytes share.
    case 'arrayBuffer': return Uint8Array.from(bytes).buffer;
    case 'bytes': return Uint8Array.from(bytes);
    case 'blob': return new Blob([Uint8Array.from(bytes)], { type: contentType });
  }
}

/** UTF-8 without its byte order mark (Fetch standard). */
function decode(bytes: Buffer): string {
  const marked = bytes.length > 2 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.toString('utf8', marked ? 3 : 0);
}
