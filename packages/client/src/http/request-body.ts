// A request body that can be sent again: bodies at hand as they are, streams through a bounded buffer.
import { Readable } from 'node:stream';
import { Response } from 'undici';
import type { BodyPipe } from '@weft/data-plane/internal';

/** What undici takes. */
export type BodyInput = string | Uint8Array | ArrayBuffer | ArrayBufferView | Blob | object | null | undefined;
type Chunk = string | Uint8Array;

export interface RequestBody {
  /** The body from its start, for one attempt. */
  open(): unknown;
  readonly replayable: boolean;
  /** Instead of the limit it was made with; before it is opened. */
  limitReplay(bytes: number): void;
  /** Sent so far, or the length where it is known. */
  readonly bytes: number;
  /** Why the application's own stream failed. */
  readonly error: Error | undefined;
  /** Runs `use` once all of it is kept: now, or when the stream ends. Never where it is longer than what is kept. Once a body. */
  whenWhole(use: () => void): void;
  /** For another request, which may outlive this one; only once it is whole. */
  copy(): RequestBody;
  /** Bytes, where they are known beforehand. */
  readonly length: number | undefined;
  /** Of a form: it names the boundary. */
  readonly contentType?: string | undefined;
  /** The bytes as they are, once. */
  chunks(): AsyncIterable<Chunk> | Iterable<Chunk>;
  /** Lets go of a stream that nobody reads any more. */
  close(): void;
}

/** @param limit bytes of a stream kept for another attempt; beyond it the body is sent once. */
export function requestBody(body: BodyInput, limit: number): RequestBody | undefined {
  if (body === null || body === undefined) return undefined;
  if (typeof body === 'string') return body === '' ? undefined : new FixedBody(Buffer.from(body));
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body) || body instanceof Blob || isFormData(body)) return new FixedBody(body);
  if (Symbol.asyncIterator in body) return new StreamBody(body as AsyncIterable<Chunk>, limit);
  if (Symbol.iterator in body) return new StreamBody(body as Iterable<Chunk>, limit);
  // undici has the words for what it does not take.
  return new FixedBody(body);
}

function isFormData(body: object): boolean {
  return (body as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === 'FormData';
}

class FixedBody implements RequestBody {
  replayable = true;
  readonly error = undefined;
  readonly bytes: number;
  readonly #value: object;
  #encoded: Response | undefined;

  constructor(value: object) {
    this.#value = value;
    this.bytes = ArrayBuffer.isView(value) || value instanceof ArrayBuffer ? value.byteLength : value instanceof Blob ? value.size : 0;
  }

  get length(): number | undefined {
    return isFormData(this.#value) ? undefined : this.bytes;
  }

  get contentType(): string | undefined {
    return isFormData(this.#value) ? (this.#form().headers.get('content-type') ?? undefined) : this.#value instanceof Blob ? this.#value.type || undefined : undefined;
  }

  chunks(): AsyncIterable<Chunk> | Iterable<Chunk> {
    const value = this.#value;
    if (ArrayBuffer.isView(value)) return [new Uint8Array(value.buffer, value.byteOffset, value.byteLength)];
    if (value instanceof ArrayBuffer) return [new Uint8Array(value)];
    if (value instanceof Blob) return value.stream() as unknown as AsyncIterable<Chunk>;
    return this.#form().body as unknown as AsyncIterable<Chunk>;
  }

  /** Encoded once, so that content type and bytes have the same boundary. */
  #form(): Response {
    // Each implementation knows only forms of its own.
    this.#encoded ??= this.#value instanceof globalThis.FormData ? (new globalThis.Response(this.#value) as unknown as Response) : new Response(this.#value as never);
    return this.#encoded;
  }

  open(): object {
    return this.#value;
  }

  limitReplay(bytes: number): void {
    this.replayable = this.bytes <= bytes;
  }

  whenWhole(use: () => void): void {
    if (this.replayable) use();
  }

  copy(): RequestBody {
    return this;
  }

  close(): void {}
}

class StreamBody implements RequestBody {
  readonly length = undefined;
  readonly #source: AsyncIterable<Chunk> | Iterable<Chunk>;
  #limit: number;
  #iterator: AsyncIterator<Chunk> | Iterator<Chunk> | undefined;
  #kept: Chunk[] = [];
  #keptBytes = 0;
  #overflowed = false;
  #ended = false;
  #pulling: Promise<Chunk | undefined> | undefined;
  #whenWhole: (() => void) | undefined;
  bytes = 0;
  error: Error | undefined;

  constructor(source: AsyncIterable<Chunk> | Iterable<Chunk>, limit: number) {
    this.#source = source;
    this.#limit = limit;
  }

  get replayable(): boolean {
    return !this.#overflowed && this.error === undefined;
  }

  chunks(): AsyncIterable<Chunk> {
    return this.open();
  }

  limitReplay(bytes: number): void {
    this.#limit = bytes;
  }

  async *open(): AsyncGenerator<Chunk, void, undefined> {
    let next = 0;
    for (;;) {
      if (next < this.#kept.length) {
        yield this.#kept[next++]!;
        continue;
      }
      if (this.#ended) return;
      const chunk = await this.#pull();
      // A kept chunk is found above; one that was too much is here or nowhere.
      if (this.#overflowed && chunk !== undefined) yield chunk;
    }
  }

  whenWhole(use: () => void): void {
    if (this.#ended && this.replayable) use();
    else this.#whenWhole = use;
  }

  copy(): RequestBody {
    return new FixedBody(Buffer.concat(this.#kept.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk))));
  }

  close(): void {
    this.#kept = [];
    if (this.#ended) return;
    this.#ended = true;
    if (this.#source instanceof Readable) this.#source.destroy();
    else void Promise.resolve((this.#iterator ?? (this.#source instanceof PipeOutput ? this.#source : undefined))?.return?.()).catch(() => undefined);
  }

  /** Shared by an attempt that was given up while it waited and the one after it, so that no chunk is lost between them. */
  #pull(): Promise<Chunk | undefined> {
    this.#pulling ??= this.#next().finally(() => (this.#pulling = undefined));
    return this.#pulling;
  }

  async #next(): Promise<Chunk | undefined> {
    try {
      this.#iterator ??= iterate(this.#source);
      const { done, value } = await this.#iterator.next();
      if (done === true) {
        this.#ended = true;
        if (!this.#overflowed) this.#whenWhole?.();
        return undefined;
      }
      const length = Buffer.byteLength(value);
      this.bytes += length;
      if (!this.#overflowed && this.#keptBytes + length <= this.#limit) {
        this.#kept.push(value);
        this.#keptBytes += length;
      } else {
        // The one reader has had all that was kept.
        this.#overflowed = true;
        this.#kept = [];
      }
      return value;
    } catch (error) {
      this.error = error as Error;
      this.#ended = true;
      throw error;
    }
  }
}

/**
 * The body as filters leave it, read once from the application and kept from there on, so that every attempt sends the same bytes.
 * @param failed the application's own stream broke off before anybody read what comes out.
 */
export function filteredBody(body: RequestBody, pipe: BodyPipe, limit: number, failed: (error: Error) => void): RequestBody {
  const output = new PipeOutput(pipe, () => body.close());
  let flow = Promise.withResolvers<void>();
  flow.resolve();
  pipe.source = { pause: () => void (flow = Promise.withResolvers()), resume: () => flow.resolve() };
  const pump = async () => {
    try {
      for await (const chunk of body.chunks()) {
        if (!pipe.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)) await flow.promise;
        if (output.over) return;
      }
      pipe.end();
    } catch (error) {
      if (!output.fail(error as Error)) failed(error as Error);
    }
  };
  void pump();
  return new StreamBody(output, limit);
}

/** What comes out of a pipe, for one reader. Opened when it begins to read: until then filters may still be asked. */
class PipeOutput implements AsyncIterable<Chunk>, AsyncIterator<Chunk> {
  readonly #pipe: BodyPipe;
  readonly #onReturn: () => void;
  readonly #chunks: Uint8Array[] = [];
  #opened = false;
  #ended = false;
  #error: Error | undefined;
  #waiting: (() => void) | undefined;
  over = false;

  constructor(pipe: BodyPipe, onReturn: () => void) {
    this.#pipe = pipe;
    this.#onReturn = onReturn;
  }

  [Symbol.asyncIterator](): AsyncIterator<Chunk> {
    return this;
  }

  async next(): Promise<IteratorResult<Chunk>> {
    if (!this.#opened) {
      this.#opened = true;
      this.#pipe.open({
        data: (chunk) => {
          this.#chunks.push(chunk);
          this.#wake();
          return false;
        },
        end: () => {
          this.#ended = true;
          this.#wake();
        },
      });
    }
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) return { done: false, value: chunk };
      if (this.#error) throw this.#error;
      if (this.#ended || this.over) return { done: true, value: undefined };
      const woken = new Promise<void>((resolve) => (this.#waiting = resolve));
      this.#pipe.resume();
      await woken;
    }
  }

  return(): Promise<IteratorResult<Chunk>> {
    this.over = true;
    this.#wake();
    this.#onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** False where nobody reads yet. */
  fail(error: Error): boolean {
    this.#error = error;
    this.#wake();
    return this.#opened;
  }

  #wake(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}

function iterate(source: AsyncIterable<Chunk> | Iterable<Chunk>): AsyncIterator<Chunk> | Iterator<Chunk> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}
