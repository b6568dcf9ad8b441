// envoy.filters.http.tap: writes whole exchanges that match into files, as JSON of envoy.data.tap.v3.TraceWrapper.
import { randomBytes } from 'node:crypto';
import { appendFile, writeFile } from 'node:fs/promises';
import { typeUrl } from '@weft/xds-api';
import { TapSchema } from '@weft/xds-api/filter-body';
import { HeaderMap } from '../../stream/header-map.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import type { BodyFilter, FilterContext, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';
import { parseTap, statusHeader, type TapConfig, type TapPart, type TapPredicate } from './tap-config.js';
import { bodyJson, connectionJson, headersJson, type Json } from './tap-json.js';

export const tap: HttpFilterFactory<TapConfig> = {
  name: 'envoy.filters.http.tap',
  typeUrls: [typeUrl(TapSchema)],
  messages: [TapSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parseTap(value),
  create: (context) => new TapFilter(context),
};

class TapFilter implements HttpFilter<TapConfig> {
  readonly #context: FilterContext;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(config: TapConfig, override: TapConfig | undefined): (() => StreamFilter) | undefined {
    const effective = override ?? config;
    const { stats } = this.#context;
    const counter = (name: string, help: string) => stats?.counter({ name, help, labels: [] }).series();
    const counters = { tapped: counter('envoy_http_tap_rq_tapped', 'Exchanges written by taps'), failed: counter('weft_http_tap_write_failures', 'Taps whose file could not be written') };
    return () => {
      const { enabled } = effective;
      if (enabled && Math.floor(this.#context.random() * enabled.denominator) >= enabled.numerator) return {};
      return new TapStream(effective, new TapFile(effective.pathPrefix, counters)).filter();
    };
  }
}

interface TapCounters {
  readonly tapped: { add(): void } | undefined;
  readonly failed: { add(): void } | undefined;
}

/** What writes one exchange. */
class TapFile {
  readonly id = randomBytes(8).readBigUInt64BE().toString();
  readonly #path: string;
  readonly #counters: TapCounters;
  #written: Promise<void> | undefined;

  constructor(prefix: string, counters: TapCounters) {
    this.#path = `${prefix}_${this.id}.json`;
    this.#counters = counters;
  }

  /** In the order of the calls; a failure is counted once. */
  write(json: Json): void {
    // Envoy's layout, which tools that follow its files may expect.
    const text = `${JSON.stringify(json, undefined, 1)}\n`;
    if (this.#written) {
      this.#written = this.#written.then(() => appendFile(this.#path, text));
    } else {
      this.#counters.tapped?.add();
      this.#written = writeFile(this.#path, text, { mode: 0o600 });
    }
    const written = this.#written;
    written.catch(() => {
      if (written === this.#written) this.#counters.failed?.add();
    });
  }
}

type Direction = 'request' | 'response';

interface Message {
  headers?: Json[];
  trailers: Json[];
  chunks: Uint8Array[];
  length: number;
  receivedAt?: string;
}

class TapStream {
  readonly #config: TapConfig;
  readonly #file: TapFile;
  readonly #heads = new Map<TapPart, RequestHead>();
  readonly #messages: Record<Direction, Message> = { request: { trailers: [], chunks: [], length: 0 }, response: { trailers: [], chunks: [], length: 0 } };
  /** Segments of a streaming tap that does not match yet. */
  #waiting: Json[] | undefined = [];
  /** It never will. */
  #dropped = false;

  constructor(config: TapConfig, file: TapFile) {
    this.#config = config;
    this.#file = file;
  }

  filter(): StreamFilter {
    return {
      decodeHeaders: (head) => void this.#head('request', [[':authority', head.authority], [':path', head.path], [':method', head.method], [':scheme', head.scheme]], head.headers) as undefined,
      decodeBody: () => this.#body('request', this.#config.maxRequestBytes),
      encodeHeaders: (head) => this.#head('response', [[':status', String(head.status)]], head.headers),
      encodeBody: () => this.#body('response', this.#config.maxResponseBytes),
      onComplete: (info) => {
        if (this.#config.streaming) this.#flush(true);
        else if (this.#matches(this.#config.predicate, true)) this.#file.write({ http_buffered_trace: this.#buffered(info) });
      },
    };
  }

  #head(direction: Direction, pseudo: [string, string][], headers: HeaderMap): void {
    const message = this.#messages[direction];
    message.headers = headersJson(pseudo, headers);
    message.receivedAt = new Date().toISOString();
    this.#seen(`${direction} headers`, pseudo, headers);
    this.#segment(`${direction}_headers`, { headers: message.headers });
  }

  #body(direction: Direction, max: number): BodyFilter {
    const message = this.#messages[direction];
    const { asString, streaming } = this.#config;
    return {
      data: (chunk) => {
        // What waits for a decision is bounded as a buffered tap is.
        if (streaming && (!this.#waiting || message.length < max)) this.#segment(`${direction}_body_chunk`, bodyJson(chunk.subarray(0, max), chunk.length > max, asString));
        else if (!streaming && message.length < max) message.chunks.push(chunk.slice(0, max - message.length));
        message.length += chunk.length;
        return chunk;
      },
      end: (trailers) => {
        if (trailers.raw.length === 0) return;
        message.trailers = headersJson([], trailers);
        this.#seen(`${direction} trailers`, [], trailers);
        this.#segment(`${direction}_trailers`, { headers: message.trailers });
      },
    };
  }

  /** What header matchers are asked about: pseudo-headers are headers for them. */
  #seen(part: TapPart, pseudo: [string, string][], headers: HeaderMap): void {
    const of = (name: string) => pseudo.find(([key]) => key === name)?.[1] ?? '';
    const all = new HeaderMap([statusHeader, of(':status'), ...headers.raw]);
    this.#heads.set(part, { protocol: 'http', method: of(':method'), scheme: of(':scheme') === 'https' ? 'https' : 'http', authority: of(':authority'), path: of(':path'), headers: all });
  }

  #segment(name: string, value: Json): void {
    if (!this.#config.streaming || this.#dropped) return;
    const segment = { http_streamed_trace_segment: { trace_id: this.#file.id, [name]: value } };
    if (!this.#waiting) return this.#file.write(segment);
    this.#waiting.push(segment);
    this.#flush(false);
  }

  /** Undefined: it depends on what is still to come. `over`: nothing is. */
  #matches(predicate: TapPredicate, over: boolean): boolean | undefined {
    switch (predicate.kind) {
      case 'any': return true;
      case 'not': {
        const inner = this.#matches(predicate.rule, over);
        return inner === undefined ? undefined : !inner;
      }
      case 'and': case 'or': {
        const decisive = predicate.kind === 'or';
        const results = predicate.rules.map((rule) => this.#matches(rule, over));
        if (results.includes(decisive)) return decisive;
        return results.includes(undefined) ? undefined : !decisive;
      }
      case 'headers': {
        const head = this.#heads.get(predicate.part);
        if (!head) return over ? false : undefined;
        return predicate.headers.every((matches) => matches(head));
      }
    }
  }

  /** What a streaming tap has waited with. */
  #flush(over: boolean): void {
    if (!this.#waiting || this.#dropped) return;
    const matches = this.#matches(this.#config.predicate, over);
    if (matches === false) {
      this.#dropped = true;
      this.#waiting = [];
    }
    if (matches !== true) return;
    for (const earlier of this.#waiting) this.#file.write(earlier);
    this.#waiting = undefined;
  }

  #buffered(info: StreamInfo): Json {
    const { recordConnection, recordTimes, maxRequestBytes, maxResponseBytes, asString } = this.#config;
    const message = ({ headers = [], chunks, length, trailers, receivedAt }: Message, max: number): Json => ({
      headers,
      ...(length > 0 && { body: bodyJson(Buffer.concat(chunks), length > max, asString) }),
      trailers,
      ...(recordTimes && receivedAt !== undefined && { headers_received_time: receivedAt }),
    });
    const { request, response } = this.#messages;
    return {
      request: message(request, maxRequestBytes),
      ...(response.headers && { response: message(response, maxResponseBytes) }),
      // A client has no downstream connection.
      ...(recordConnection && info.direction === 'inbound' && { downstream_connection: connectionJson(info) }),
    };
  }
}
