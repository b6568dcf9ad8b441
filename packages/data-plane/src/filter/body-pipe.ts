// One body on its way through filters. Chunks keep their order; a filter that waits holds those behind it and, in the end, whoever
// sends. While filters are still being asked about the head, what came through the ones before waits here.
import { HeaderMap } from '../stream/header-map.js';
import type { BodyFilter, BodyResult } from './http-filter.js';

/** Who writes into a pipe. */
export interface BodySource {
  pause(): void;
  resume(): void;
}

/** Who gets what comes out. */
export interface BodySink {
  /** False: no more for now; `BodyPipe.resume` ends that. */
  data(chunk: Uint8Array): boolean | void;
  /** With the trailers as the filters left them: empty where there are none. */
  end(trailers: HeaderMap): void;
}

export interface PipeOwner {
  /** A filter threw or rejected. The pipe takes and gives nothing any more. */
  failed(filterName: string, error: unknown): void;
  /** Everything is through, told before the sink. */
  ended?(): void;
}

/** Waiting for filters that have not seen the head yet, this much stops the sender. */
const parkedLimit = 65_536;

interface Stage {
  readonly name: string;
  readonly filter: BodyFilter;
  readonly push: (chunk: Uint8Array) => void;
  readonly queue: Uint8Array[];
  waiting: boolean;
  ending: boolean;
}

export class BodyPipe {
  /** Told when to wait; set it before the first `write`. */
  source: BodySource | undefined;
  readonly #owner: PipeOwner;
  readonly #stages: Stage[] = [];
  #parked: Uint8Array[] = [];
  #parkedBytes = 0;
  #parkedEnd = false;
  #collector: { readonly max: number; resolve(body: Uint8Array | undefined): void } | undefined;
  #sink: BodySink | undefined;
  #trailers: HeaderMap | undefined;
  #waiting = 0;
  #paused = false;
  #held = false;
  #closed = false;

  constructor(owner: PipeOwner) {
    this.#owner = owner;
  }

  /** Takes and gives nothing any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Behind the filters there are; what waits goes through it too. Only before `open`. */
  append(name: string, filter: BodyFilter): void {
    const index = this.#stages.length;
    this.#stages.push({ name, filter, push: (chunk) => this.#pass(index + 1, chunk), queue: [], waiting: false, ending: false });
    const parked = this.#parked;
    const ended = this.#parkedEnd;
    this.#parked = [];
    this.#parkedBytes = 0;
    this.#parkedEnd = false;
    for (const chunk of parked) this.#pass(index, chunk);
    if (ended) this.#finish(index);
    this.#update();
  }

  /** The whole body as the filters so far leave it; it stays in the pipe. Undefined where it is longer than `max`, or the request ended. */
  collect(max: number): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      if (this.#closed) return resolve(undefined);
      this.#collector = { max, resolve };
      this.#collected();
      this.#update();
    });
  }

  /** @returns false where the source has been told to wait. */
  write(chunk: Uint8Array): boolean {
    if (!this.#closed) this.#pass(0, chunk);
    this.#update();
    return !this.#held;
  }

  /** Nothing follows but these trailers. */
  end(trailers?: HeaderMap): void {
    if (this.#closed) return;
    this.#trailers = trailers;
    this.#finish(0);
  }

  /** All filters are asked: from here on what comes through goes to `sink`. */
  open(sink: BodySink): void {
    this.#sink = sink;
    const parked = this.#parked;
    this.#parked = [];
    this.#parkedBytes = 0;
    for (const chunk of parked) this.#pass(this.#stages.length, chunk);
    if (this.#parkedEnd) this.#finish(this.#stages.length);
    this.#update();
  }

  /** The sink's wish. */
  pause(): void {
    this.#paused = true;
    this.#update();
  }

  resume(): void {
    this.#paused = false;
    this.#update();
  }

  /** The request is over. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#collector?.resolve(undefined);
    this.#collector = undefined;
    this.#parked = [];
    for (const stage of this.#stages) stage.queue.length = 0;
    // What is still to come is thrown away; whoever sends it must not wait for ever.
    if (!this.#held) return;
    this.#held = false;
    this.source?.resume();
  }

  #pass(index: number, chunk: Uint8Array): void {
    if (this.#closed || chunk.length === 0) return;
    const stage = this.#stages[index];
    if (!stage) return this.#out(chunk);
    if (stage.waiting) stage.queue.push(chunk);
    else this.#run(stage, index, chunk);
  }

  #run(stage: Stage, index: number, chunk: Uint8Array): void {
    if (!stage.filter.data) return this.#pass(index + 1, chunk);
    this.#settle(stage, index, () => stage.filter.data!(chunk, stage.push));
  }

  #finish(index: number): void {
    if (this.#closed) return;
    const stage = this.#stages[index];
    if (!stage) return this.#outEnd();
    stage.ending = true;
    if (!stage.waiting) this.#end(stage, index);
  }

  #end(stage: Stage, index: number): void {
    stage.ending = false;
    const next = () => this.#finish(index + 1);
    if (!stage.filter.end) return next();
    this.#settle(stage, index, () => stage.filter.end!((this.#trailers ??= new HeaderMap()), stage.push), next);
  }

  /** Runs one callback of a filter; what follows it waits for it. */
  #settle(stage: Stage, index: number, run: () => BodyResult, then?: () => void): void {
    let result: BodyResult;
    try {
      result = run();
    } catch (error) {
      return this.#failed(stage, error);
    }
    if (!(result instanceof Promise)) {
      if (result !== undefined) this.#pass(index + 1, result);
      return then?.();
    }
    stage.waiting = true;
    this.#waiting++;
    result.then(
      (chunk) => {
        stage.waiting = false;
        this.#waiting--;
        if (this.#closed) return;
        if (chunk !== undefined) this.#pass(index + 1, chunk);
        then?.();
        while (!stage.waiting && stage.queue.length > 0) this.#run(stage, index, stage.queue.shift() as Uint8Array);
        if (!stage.waiting && stage.ending) this.#end(stage, index);
        this.#update();
      },
      (error: unknown) => this.#failed(stage, error),
    );
  }

  #failed({ name }: Stage, error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#owner.failed(name, error);
  }

  #out(chunk: Uint8Array): void {
    if (this.#sink) {
      if (this.#sink.data(chunk) === false) this.#paused = true;
      return;
    }
    this.#parked.push(chunk);
    this.#parkedBytes += chunk.length;
    this.#collected();
  }

  #outEnd(): void {
    if (this.#sink) {
      this.#closed = true;
      this.#owner.ended?.();
      this.#sink.end(this.#trailers ?? new HeaderMap());
      return;
    }
    this.#parkedEnd = true;
    this.#collected();
  }

  #collected(): void {
    const collector = this.#collector;
    if (!collector) return;
    if (this.#parkedBytes > collector.max) {
      this.#collector = undefined;
      collector.resolve(undefined);
    } else if (this.#parkedEnd) {
      this.#collector = undefined;
      const whole = this.#parked.length === 1 ? (this.#parked[0] as Uint8Array) : Buffer.concat(this.#parked);
      this.#parked = whole.length === 0 ? [] : [whole];
      collector.resolve(whole);
    }
  }

  #update(): void {
    const held = !this.#closed && (this.#waiting > 0 || this.#paused || (this.#parkedBytes >= parkedLimit && !this.#collector));
    if (held === this.#held) return;
    this.#held = held;
    if (held) this.source?.pause();
    else this.source?.resume();
  }
}
