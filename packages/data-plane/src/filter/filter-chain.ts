// The HTTP filters of one listener, and the ones of them that run on a route. Filters run once a request, not per attempt.
import type { HttpFilterConfig } from '../resource/listener-config.js';
import type { LocalReply } from '../stream/local-reply.js';
import type { RequestHead } from '../stream/request-head.js';
import type { ResponseHead } from '../stream/response-head.js';
import type { StreamInfo } from '../stream/stream-info.js';
import { BodyPipe } from './body-pipe.js';
import { disabledFilter, enabledFilter } from './filter-override.js';
import type { RouteFilterInfo } from './route-filter-info.js';
import type { BodyFilter, FilterContext, FilterResult, FilterStream, HttpFilter, StreamFilter } from './http-filter.js';

/** What a filter chain needs to know of a selected route. */
export interface FilterRoute {
  /** Of the most specific level; the same function for all requests of the route. */
  readonly filterOverrides: (filterName: string) => unknown;
  /** What filters may know of it beside; the same for all requests of the route. */
  readonly filterInfo: RouteFilterInfo;
}

/** The filters that run for requests of one route. */
export interface RouteFilters {
  /** `verdict` is told what each filter said; live requests give none. */
  start(host: FilterHost, verdict?: (filter: string, verdict: string) => void): StreamFilters;
}

/** What filters need of the request they run for: the engine's side of it. */
export interface FilterHost {
  readonly requestHasBody: boolean;
  /** Before the first filter that sees the body: headers as they would be on the wire (`content-length`). */
  describeBody?(head: RequestHead): void;
  /** The request's body is to come through this pipe. At most once, while `decode` runs; the host opens the pipe after it. */
  readBody(pipe: BodyPipe): void;
  endWith(reply: LocalReply): void;
  /** A filter of the response's body failed. */
  responseFailed(error: Error): void;
  /** The response came through all of its filters. */
  responseEnd(): void;
}

/** The filters of one request. */
export interface StreamFilters {
  /** Whether `encode` may give a pipe. */
  readonly seesResponseBody?: boolean;
  /** Synchronous where no filter waits. A filter that throws ends the request with 500: going on without it could be going past a policy. */
  decode(head: RequestHead, info: StreamInfo): FilterResult;
  /** In reverse order, also those filters that `decode` did not reach, as in Envoy. With a pipe where one of them wants the body; it is opened, fed and ended by the adapter. */
  encode(head: ResponseHead, info: StreamInfo): BodyPipe | undefined;
  /** Once, at the very end, whatever happened. */
  complete(info: StreamInfo): void;
}

/** State of one named filter, kept while some chain of the listener uses it. */
interface Instance {
  readonly filter: HttpFilter;
  users: number;
}

interface Entry {
  readonly config: HttpFilterConfig;
  readonly instance: Instance;
}

export class FilterChain {
  readonly #entries: readonly Entry[];
  readonly #memo = new WeakMap<FilterRoute['filterOverrides'], { filters: RouteFilters | undefined }>();
  readonly #holds: readonly (() => void)[];
  #closed = false;

  /** `previous`: the chain this one replaces; a filter of the same name and kind keeps its state. Close both in time. */
  constructor(filters: readonly HttpFilterConfig[], context: FilterContext, previous?: FilterChain) {
    this.#entries = filters.map((config) => {
      const before = previous && previous.#entries.find((entry) => entry.config.name === config.name && entry.config.factory === config.factory && entry.instance.users > 0);
      const instance = before?.instance ?? { filter: config.factory.create(context), users: 0 };
      instance.users++;
      return { config, instance };
    });
    this.#holds = clustersOf(filters).map((name) => context.clusters?.hold(name) ?? (() => undefined));
  }

  /** `undefined`: nothing runs there. */
  forRoute(route: FilterRoute): RouteFilters | undefined {
    let memo = this.#memo.get(route.filterOverrides);
    if (!memo) this.#memo.set(route.filterOverrides, (memo = { filters: this.#compose(route) }));
    return memo.filters;
  }

  /** The filters that do not run on a route, and why, for `weft explain`. The terminal one, which stands for the engine, is left out. */
  idle(route: FilterRoute): { name: string; why: string }[] {
    return this.#entries.flatMap((entry) => {
      const made = entry.config.factory.terminal ? undefined : makerOf(entry, route);
      return typeof made === 'string' ? [{ name: entry.config.name, why: made }] : [];
    });
  }

  /** Idempotent. State that no later chain took over is closed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const release of this.#holds) release();
    for (const { instance } of this.#entries) if (--instance.users === 0) instance.filter.close?.();
  }

  #compose(route: FilterRoute): RouteFilters | undefined {
    const makers = this.#entries.flatMap((entry) => {
      const make = makerOf(entry, route);
      return typeof make === 'function' ? [{ name: entry.config.name, make }] : [];
    });
    if (makers.length === 0) return undefined;
    const names = makers.map(({ name }) => name);
    const make = makers.map((maker) => maker.make);
    return { start: (host, verdict) => new RunningFilters(names, make.map(started), host, verdict) };
  }
}

/** What runs of one filter on a route, or why nothing does. */
function makerOf({ config, instance }: Entry, route: FilterRoute): (() => StreamFilter) | 'disabled' | 'nothing to do' {
  const override = route.filterOverrides(config.name);
  if (override === disabledFilter || (config.disabled && override === undefined)) return 'disabled';
  const { filterInfo } = route;
  const overrides = filterInfo.overrides(config.name).filter((level) => level !== enabledFilter && level !== disabledFilter);
  return instance.filter.forRoute(config.config, override === enabledFilter ? undefined : override, { ...filterInfo, overrides }) ?? 'nothing to do';
}

/** What the filters of a configuration call, by name. */
export function clustersOf(filters: readonly HttpFilterConfig[]): string[] {
  return [...new Set(filters.flatMap(({ factory, config }) => factory.clusters?.(config) ?? []))];
}

const started = (make: () => StreamFilter): StreamFilter => make();

class RunningFilters implements StreamFilters, FilterStream {
  readonly #names: readonly string[];
  readonly #filters: readonly StreamFilter[];
  readonly #host: FilterHost;
  readonly #verdict: ((filter: string, verdict: string) => void) | undefined;
  #request: BodyPipe | undefined;
  #response: BodyPipe | undefined;
  requestHead: RequestHead | undefined;
  #responseHead: ResponseHead | undefined;
  #reached = 0;
  #completed = false;

  constructor(names: readonly string[], filters: readonly StreamFilter[], host: FilterHost, verdict: ((filter: string, verdict: string) => void) | undefined) {
    this.#verdict = verdict;
    this.#names = names;
    this.#filters = filters;
    this.#host = host;
  }

  get requestHasBody(): boolean {
    return this.#host.requestHasBody;
  }

  get seesResponseBody(): boolean {
    return this.#filters.some(seesResponseBody);
  }

  get responseHasBody(): boolean {
    const head = this.#responseHead;
    // RFC 9110 §6.4.1. A gRPC status in the head is the end, too; what follows an upgrade is no body.
    return head !== undefined && head.status >= 200 && head.grpcStatus === undefined && this.requestHead?.method !== 'HEAD' && head.status !== 204 && head.status !== 304 && head.headers.get('content-length') !== '0';
  }

  bufferBody(maxBytes: number): Promise<Uint8Array | undefined> {
    return this.#host.requestHasBody && !this.#completed ? this.#requestPipe().collect(maxBytes) : Promise.resolve(new Uint8Array());
  }

  endWith(reply: LocalReply): void {
    if (this.#completed) return;
    // What was refused in the middle must not look whole to whoever reads it.
    this.#request?.close();
    this.#host.endWith(reply);
  }

  decode(head: RequestHead, info: StreamInfo): FilterResult {
    const result = this.#decode(head, info);
    if (result instanceof Promise) return result.then((reply) => this.#decoded(reply));
    return this.#decoded(result);
  }

  #decoded(reply: LocalReply | undefined): LocalReply | undefined {
    // Nobody is going to read it.
    if (reply) this.#request?.close();
    return reply;
  }

  #decode(head: RequestHead, info: StreamInfo): FilterResult {
    if (this.#reached === 0) {
      this.requestHead = head;
      if (this.#host.describeBody && this.#host.requestHasBody && this.#filters.some(seesRequestBody)) this.#host.describeBody(head);
    }
    while (!this.#completed) {
      const index = this.#reached;
      const filter = this.#filters[index];
      if (filter === undefined) return undefined;
      this.#reached++;
      let result: FilterResult;
      try {
        result = filter.decodeHeaders?.(head, info, this);
        if (result === undefined) this.#openRequestBody(index, head, info);
      } catch (error) {
        result = failed(this.#names[index] as string, error);
      }
      if (this.#verdict) result = told(this.#names[index] as string, result, this.#verdict);
      if (result instanceof Promise) {
        return result
          .then((reply) => {
            if (reply || this.#completed) return reply;
            this.#openRequestBody(index, head, info);
            return undefined;
          })
          .then((reply) => reply ?? this.#decode(head, info), (error: unknown) => failed(this.#names[index] as string, error));
      }
      if (result !== undefined) return result;
    }
    return undefined;
  }

  encode(head: ResponseHead, info: StreamInfo): BodyPipe | undefined {
    this.#responseHead = head;
    for (let i = this.#filters.length - 1; i >= 0; i--) {
      const filter = this.#filters[i];
      filter?.encodeHeaders?.(head, info, this);
      if (!filter?.encodeBody || !this.responseHasBody) continue;
      const body: BodyFilter | undefined = filter.encodeBody(head, info);
      if (!body) continue;
      this.#response ??= new BodyPipe({ failed: (name, error) => this.#host.responseFailed(failed(name, error).error), ended: () => this.#host.responseEnd() });
      this.#response.append(this.#names[i] as string, body);
    }
    return this.#response;
  }

  complete(info: StreamInfo): void {
    if (this.#completed) return;
    this.#completed = true;
    for (const filter of this.#filters) filter.onComplete?.(info);
    this.#request?.close();
    this.#response?.close();
  }

  #openRequestBody(index: number, head: RequestHead, info: StreamInfo): void {
    const filter = this.#filters[index] as StreamFilter;
    if (!filter.decodeBody || !this.#host.requestHasBody) return;
    const body = filter.decodeBody(head, info);
    if (body) this.#requestPipe().append(this.#names[index] as string, body);
  }

  #requestPipe(): BodyPipe {
    if (!this.#request) {
      this.#request = new BodyPipe({ failed: (name, error) => this.endWith(failed(name, error)) });
      this.#host.readBody(this.#request);
    }
    return this.#request;
  }
}

function told(name: string, result: FilterResult, verdict: (filter: string, verdict: string) => void): FilterResult {
  if (!(result instanceof Promise)) {
    verdict(name, result ? `${result.status} ${result.details}` : 'continue');
    return result;
  }
  verdict(name, 'waits');
  return result.then((reply) => told(name, reply, verdict));
}

const seesRequestBody = (filter: StreamFilter): boolean => filter.decodeBody !== undefined;
const seesResponseBody = (filter: StreamFilter): boolean => filter.encodeBody !== undefined;

function failed(name: string, cause: unknown): LocalReply & { error: Error } {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  return { status: 500, body: '', details: `filter_failed{${name}}`, error };
}
