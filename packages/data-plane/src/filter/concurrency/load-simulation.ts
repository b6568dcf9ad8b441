// A simulated service under an open load, in simulated time: for the test of the adaptive breaker and for docs/overload.md.
import type { AdaptiveLimit } from './adaptive-limit.js';

export interface SimulatedService {
  readonly name: string;
  /** Requests that it works on at a time; the others wait in its queue, first come first served, without bound. */
  readonly workers: number;
  /** Draws the work of one request, milliseconds. */
  work(random: () => number): number;
  /** Requests a second that it can do: workers by mean work. */
  readonly capacity: number;
}

export interface Simulation {
  readonly service: SimulatedService;
  readonly seconds: number;
  /** Requests a second that are offered at this second, by Poisson arrivals that do not care for answers. */
  rate(second: number): number;
  /** Speed of the service at this second; 1 is as it was made. */
  speed?(second: number): number;
  readonly thresholdMs: number;
  /** Processes that share the load by chance, each with a breaker that knows only its own requests. */
  readonly clients: number;
  random(): number;
  breaker(now: () => number): Pick<AdaptiveLimit, 'begin' | 'end'>;
}

export interface Second {
  offered: number;
  /** Of the requests that ended in it, milliseconds. */
  readonly latencies: number[];
}

/** Both ways together. */
const networkMs = 1;

export function simulate({ service, seconds, rate, speed = () => 1, clients, random, breaker }: Simulation): Second[] {
  const events = new Events();
  const result = Array.from({ length: seconds }, (): Second => ({ offered: 0, latencies: [] }));
  const breakers = Array.from({ length: clients }, () => breaker(() => events.now));
  const queue: (() => void)[] = [];
  let busy = 0;

  const serve = (done: () => void) => {
    busy++;
    events.after(service.work(random) / speed(events.now / 1000), () => {
      busy--;
      events.after(networkMs / 2, done);
      const next = queue.shift();
      if (next) serve(next);
    });
  };
  const arrive = () => {
    const second = events.now / 1000;
    if (second >= seconds) return;
    events.after((-Math.log(1 - random()) * 1000) / rate(second), arrive);
    (result[Math.floor(second)] as Second).offered++;
    const mine = breakers[Math.floor(random() * clients)] as (typeof breakers)[number];
    if (!mine.begin()) return;
    const started = events.now;
    const done = () => {
      const latency = events.now - started;
      mine.end(latency);
      result[Math.floor(events.now / 1000)]?.latencies.push(latency);
    };
    events.after(networkMs / 2, () => {
      if (busy < service.workers) serve(done);
      else queue.push(done);
    });
  };
  arrive();
  events.run();
  return result;
}

export interface Judgement {
  /** Share of seconds whose 99th percentile is under the threshold. */
  readonly secondsWithin: number;
  /** Requests done within the threshold, by what could have been done: the lesser of what was offered and the capacity. */
  readonly goodput: number;
}

export function judge(seconds: readonly Second[], thresholdMs: number, capacity: (second: number) => number): Judgement {
  let within = 0;
  let good = 0;
  let possible = 0;
  seconds.forEach(({ offered, latencies }, second) => {
    const sorted = latencies.toSorted((a, b) => a - b);
    const percentile = sorted[Math.ceil(0.99 * sorted.length) - 1] ?? 0;
    if (percentile <= thresholdMs) within++;
    good += sorted.filter((latency) => latency <= thresholdMs).length;
    possible += Math.min(offered, capacity(second));
  });
  return { secondsWithin: within / seconds.length, goodput: good / possible };
}

/** What happens, by time. */
class Events {
  now = 0;
  /** A binary heap. */
  readonly #heap: { at: number; run: () => void }[] = [];

  after(ms: number, run: () => void): void {
    const heap = this.#heap;
    const event = { at: this.now + ms, run };
    let i = heap.length;
    heap.push(event);
    for (let parent = (i - 1) >> 1; i > 0 && (heap[parent] as typeof event).at > event.at; parent = (i - 1) >> 1) {
      heap[i] = heap[parent] as typeof event;
      heap[parent] = event;
      i = parent;
    }
  }

  run(): void {
    for (let event = this.#pop(); event; event = this.#pop()) {
      this.now = event.at;
      event.run();
    }
  }

  #pop(): { at: number; run: () => void } | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as typeof last).at < (heap[child] as typeof last).at) child++;
      if ((heap[child] as typeof last).at >= last.at) break;
      heap[i] = heap[child] as typeof last;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}
