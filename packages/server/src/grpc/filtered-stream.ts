// What grpc-js writes on a stream whose response has to pass filters. They see the trailers too, so these are asked for before the last
// byte leaves.
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { HeaderMap, type BodyPipe } from '@weft/data-plane/internal';

type Method = (...args: unknown[]) => unknown;

/** The stream's own methods, as they were; `sent` counts bytes on the wire. */
interface Wire {
  readonly write: Method;
  readonly end: Method;
  readonly sendTrailers: Method;
  readonly emit: Method;
  sent: number;
}

type Done = (error?: Error | null) => void;

export class FilteredStream {
  readonly #stream: ServerHttp2Stream;
  readonly #pipe: BodyPipe;
  readonly #wire: Wire;
  readonly #held: Done[] = [];
  #given: OutgoingHttpHeaders = {};
  #filtered: HeaderMap | undefined;
  #ended = false;

  constructor(stream: ServerHttp2Stream, pipe: BodyPipe, wire: Wire) {
    this.#stream = stream;
    this.#pipe = pipe;
    this.#wire = wire;
    pipe.source = { pause: () => undefined, resume: () => this.#held.splice(0).forEach((done) => process.nextTick(done)) };
    stream.on('drain', () => pipe.resume());
    pipe.open({
      data: (chunk) => {
        wire.sent += chunk.length;
        return wire.write.call(stream, chunk) as boolean;
      },
      end: (trailers) => {
        this.#filtered = trailers;
        wire.end.call(stream);
      },
    });
  }

  write(chunk: unknown, encoding: unknown, done: unknown): boolean {
    const flowing = this.#pipe.write(chunk as Uint8Array);
    const told = (typeof encoding === 'function' ? encoding : done) as Done | undefined;
    if (told && flowing) process.nextTick(told);
    else if (told) this.#held.push(told);
    return flowing;
  }

  end(chunk: unknown): ServerHttp2Stream {
    if (this.#ended) return this.#stream;
    this.#ended = true;
    if (chunk instanceof Uint8Array) this.#pipe.write(chunk);
    this.#wire.emit.call(this.#stream, 'wantTrailers');
    this.#pipe.end(HeaderMap.from(this.#given as Record<string, string>));
    return this.#stream;
  }

  trailers(given: OutgoingHttpHeaders): void {
    this.#given = given;
  }

  /** The last byte has left. */
  wantTrailers(): void {
    if (this.#stream.destroyed || this.#stream.closed) return;
    const trailers: OutgoingHttpHeaders = {};
    const filtered = this.#filtered;
    if (filtered) {
      for (const [name] of filtered) {
        const values = filtered.all(name);
        trailers[name] = values.length === 1 ? values[0] : values;
      }
    }
    this.#wire.sendTrailers.call(this.#stream, trailers);
  }
}
