// Messages of a call whose bodies have to pass filters. Filters see gRPC as it is on the wire, each message behind five bytes; grpc-js
// takes and gives them bare.
import { HeaderMap, type BodyPipe } from '@weft/data-plane/internal';
import type { MessageQueue, OutgoingMessage } from './message-queue.js';

function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(message.length + 5);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  return frame;
}

/** Finds messages in chunks of any size. */
class Deframer {
  #rest: Buffer = Buffer.alloc(0);

  *messages(chunk: Uint8Array): Generator<Buffer> {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength) : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 5) {
      const end = 5 + this.#rest.readUInt32BE(1);
      if (this.#rest.length < end) return;
      const message = this.#rest.subarray(5, end);
      this.#rest = this.#rest.subarray(end);
      yield message;
    }
  }
}

/** From the application to the queue that attempts send from. */
export class FilteredRequest {
  readonly #pipe: BodyPipe;
  readonly #queue: MessageQueue;
  readonly #changed: () => void;
  readonly #held: (() => void)[] = [];
  #opened = false;

  constructor(pipe: BodyPipe, queue: MessageQueue, changed: () => void) {
    this.#pipe = pipe;
    this.#queue = queue;
    this.#changed = changed;
    pipe.source = { pause: () => undefined, resume: () => this.#held.splice(0).forEach((told) => process.nextTick(told)) };
    queue.onDrained = () => pipe.resume();
  }

  write({ message, callback }: OutgoingMessage): void {
    const flowing = this.#pipe.write(framed(message));
    if (!callback) return;
    const told = () => callback();
    if (flowing) process.nextTick(told);
    else this.#held.push(told);
  }

  end(): void {
    this.#pipe.end();
  }

  /** All filters were asked. */
  open(): void {
    if (this.#opened) return;
    this.#opened = true;
    const deframer = new Deframer();
    this.#pipe.open({
      data: (chunk) => {
        let some = false;
        for (const message of deframer.messages(chunk)) {
          some = true;
          this.#queue.add({ message, flags: undefined, callback: undefined });
        }
        if (some) this.#changed();
        return !some || this.#queue.drained;
      },
      end: () => {
        this.#queue.close();
        this.#changed();
      },
    });
  }
}

export interface MessageReader {
  /** Asks the host for another message. */
  read(): void;
  onMessage(message: Buffer): void;
  onEnd(trailers: HeaderMap): void;
}

/** From the host to the application, which asks for one message at a time: filters may make none or several of one. */
export class FilteredResponse {
  readonly #pipe: BodyPipe;
  readonly #reader: MessageReader;
  readonly #ready: Buffer[] = [];
  #wanted = false;
  #reading = false;
  #held = false;
  #trailers: HeaderMap | undefined;
  #received = false;

  constructor(pipe: BodyPipe, reader: MessageReader) {
    this.#pipe = pipe;
    this.#reader = reader;
    pipe.source = {
      pause: () => void (this.#held = true),
      resume: () => {
        this.#held = false;
        this.#advance();
      },
    };
  }

  open(): void {
    const deframer = new Deframer();
    this.#pipe.open({
      data: (chunk) => {
        for (const message of deframer.messages(chunk)) this.#ready.push(message);
        this.#advance();
      },
      end: (trailers) => {
        this.#trailers = trailers;
        this.#advance();
      },
    });
  }

  want(): void {
    this.#wanted = true;
    this.#advance();
  }

  receive(message: Buffer): void {
    this.#reading = false;
    this.#pipe.write(framed(message));
    this.#advance();
  }

  end(trailers: HeaderMap): void {
    this.#received = true;
    this.#pipe.end(trailers);
  }

  #advance(): void {
    const message = this.#wanted ? this.#ready.shift() : undefined;
    if (message) {
      this.#wanted = false;
      this.#reader.onMessage(message);
    }
    if (this.#trailers && this.#ready.length === 0) {
      const trailers = this.#trailers;
      this.#trailers = undefined;
      this.#reader.onEnd(trailers);
    } else if (this.#wanted && !this.#reading && !this.#held && !this.#received) {
      this.#reading = true;
      this.#reader.read();
    }
  }
}
