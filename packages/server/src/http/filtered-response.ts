// A response whose body has to pass filters on its way to the wire.
import type { ServerResponse } from 'node:http';
import { HeaderMap, type BodyPipe } from '@weft/data-plane/internal';

/** The response's own methods, as they were. */
interface Wire {
  readonly write: (chunk: unknown, encoding: unknown, done: unknown) => boolean;
  readonly end: (chunk: unknown, encoding: unknown, done: unknown) => ServerResponse;
}

type Done = (error?: Error) => void;

export class FilteredResponse {
  readonly #response: ServerResponse;
  readonly #pipe: BodyPipe;
  #whenEnded: Done | undefined;
  #ended = false;
  #drainWanted = false;
  /** What the application gave. */
  #trailers: HeaderMap | undefined;
  sent = 0;

  constructor(response: ServerResponse, pipe: BodyPipe, wire: Wire) {
    this.#response = response;
    this.#pipe = pipe;
    response.on('drain', () => pipe.resume());
    const { addTrailers } = response;
    response.addTrailers = (trailers) => void (this.#trailers = HeaderMap.from(trailers as Record<string, string>));
    pipe.source = { pause: () => undefined, resume: () => this.#drained() };
    pipe.open({
      data: (chunk) => {
        this.sent += chunk.length;
        return wire.write.call(response, chunk, undefined, undefined);
      },
      end: (trailers) => {
        // HTTP/1 has them only behind chunks.
        if (trailers.raw.length > 0 && !response.hasHeader('content-length')) addTrailers.call(response, [...trailers]);
        wire.end.call(response, undefined, undefined, this.#whenEnded);
      },
    });
  }

  write(chunk: unknown, encoding: unknown, done: unknown): boolean {
    if (this.#ended) return false;
    const flowing = this.#pipe.write(bytesOf(chunk, encoding));
    const told = typeof encoding === 'function' ? encoding : done;
    if (typeof told === 'function') process.nextTick(told as Done);
    if (!flowing) this.#drainWanted = true;
    return flowing;
  }

  end(chunk: unknown, encoding: unknown, done: unknown): ServerResponse {
    if (this.#ended) return this.#response;
    const told = [chunk, encoding, done].find((value) => typeof value === 'function');
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') this.#pipe.write(bytesOf(chunk, encoding));
    this.#ended = true;
    this.#whenEnded = told as Done | undefined;
    this.#pipe.end(this.#trailers);
    return this.#response;
  }

  #drained(): void {
    if (!this.#drainWanted || this.#ended) return;
    this.#drainWanted = false;
    // Never from inside of a write: whoever writes looks at its result first.
    process.nextTick(() => this.#response.emit('drain'));
  }
}

function bytesOf(chunk: unknown, encoding: unknown): Uint8Array {
  if (typeof chunk === 'string') return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError('a response is written in strings and Uint8Arrays');
}
