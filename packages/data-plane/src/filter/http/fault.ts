// envoy.filters.http.fault: delays and aborts requests and slows responses on purpose. The delay comes first; the chances of all three
// are drawn independently.
import { HTTPFaultSchema } from '@weft/xds-api/filter-fault';
import type { FractionConfig } from '../../resource/matcher-config.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { ByteBucket, throttle, type Throttle } from '../body-throttle.js';
import type { FilterContext, FilterResult, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';
import { parseFault, type FaultConfig } from './fault-config.js';

export const fault: HttpFilterFactory<FaultConfig> = {
  name: 'envoy.filters.http.fault',
  typeUrls: ['type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault'],
  messages: [HTTPFaultSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parseFault(value),
  create: (context) => new FaultFilter(context),
};

/** How often a slowed response goes on. */
const sliceMs = 50;

class FaultFilter implements HttpFilter<FaultConfig> {
  readonly #context: FilterContext;
  /** Requests that are delayed or were aborted and have not ended: what max_active_faults limits. */
  #active = 0;

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(config: FaultConfig, override: FaultConfig | undefined): (() => StreamFilter) | undefined {
    const effective = override ?? config;
    if (!effective.delay?.percentage.numerator && !effective.abort?.percentage.numerator && !effective.responseRateLimit?.percentage.numerator) return undefined;
    return () => this.#stream(effective);
  }

  #stream(config: FaultConfig): StreamFilter {
    let counted = false;
    let kbps: number | undefined;
    let slowed: Throttle | undefined;
    let pending: { timer: { cancel(): void }; release: () => void } | undefined;
    const count = () => {
      if (!counted) this.#active++;
      counted = true;
    };
    const abort = (head: RequestHead): LocalReply | undefined => {
      const reply = counted || this.#active < config.maxActiveFaults ? this.#abort(config, head) : undefined;
      if (reply) count();
      return reply;
    };
    return {
      decodeHeaders: (head, info): FilterResult => {
        if (this.#active >= config.maxActiveFaults || !applies(config, head, info)) return undefined;
        kbps = this.#responseKbps(config, head);
        if (kbps !== undefined) count();
        const delayMs = this.#delayMs(config, head);
        if (delayMs === undefined) return abort(head);
        count();
        info.flags.push('DI');
        return new Promise((resolve) => {
          const timer = this.#context.setTimeout(() => {
            pending = undefined;
            resolve(abort(head));
          }, delayMs);
          pending = { timer, release: () => resolve(undefined) };
        });
      },
      ...(config.responseRateLimit && {
        encodeBody: () => {
          if (kbps === undefined) return undefined;
          const bytes = kbps * 1024;
          // As Envoy's: one slice of the second is there at the start.
          slowed = throttle(new ByteBucket(bytes, (bytes * sliceMs) / 1000, () => this.#context.now()), sliceMs, this.#context);
          return slowed;
        },
      }),
      onComplete: () => {
        slowed?.cancel();
        pending?.timer.cancel();
        pending?.release();
        if (counted) this.#active--;
        counted = false;
      },
    };
  }

  #delayMs({ delay }: FaultConfig, head: RequestHead): number | undefined {
    if (!delay) return undefined;
    const ms = delay.fixedMs ?? wholeNumber(head, 'x-envoy-fault-delay-request');
    if (ms === undefined || ms <= 0) return undefined;
    return this.#draw(delay.percentage, delay.fixedMs === undefined ? wholeNumber(head, 'x-envoy-fault-delay-request-percentage') : undefined) ? ms : undefined;
  }

  #responseKbps({ responseRateLimit: limit }: FaultConfig, head: RequestHead): number | undefined {
    if (!limit) return undefined;
    const kbps = limit.kbps ?? wholeNumber(head, 'x-envoy-fault-throughput-response');
    if (!kbps) return undefined;
    return this.#draw(limit.percentage, limit.kbps === undefined ? wholeNumber(head, 'x-envoy-fault-throughput-response-percentage') : undefined) ? kbps : undefined;
  }

  #abort({ abort }: FaultConfig, head: RequestHead): LocalReply | undefined {
    if (!abort) return undefined;
    const byHeader = abort.status === undefined && abort.grpcStatus === undefined;
    const status = byHeader ? statusFromHeaders(head) : abort;
    if (!status || !this.#draw(abort.percentage, byHeader ? wholeNumber(head, 'x-envoy-fault-abort-request-percentage') : undefined)) return undefined;
    return {
      // Envoy answers an HTTP request with 200 where only a gRPC status is configured.
      status: status.status ?? 200,
      ...(status.grpcStatus !== undefined && { grpcStatus: status.grpcStatus }),
      body: abort.body ?? 'fault filter abort',
      flag: 'FI',
      details: 'fault_filter_abort',
    };
  }

  /** A percentage from a header may only lower the configured one, in parts of the same denominator. */
  #draw({ numerator, denominator }: FractionConfig, fromHeader: number | undefined): boolean {
    return (this.#context.randomBelow?.(denominator) ?? Math.floor(this.#context.random() * denominator)) < Math.min(numerator, fromHeader ?? numerator);
  }
}

function applies({ upstreamCluster, headers, downstreamNodes }: FaultConfig, head: RequestHead, info: StreamInfo): boolean {
  if (upstreamCluster !== '' && upstreamCluster !== info.clusterName) return false;
  if (downstreamNodes.size > 0 && !downstreamNodes.has(head.headers.get('x-envoy-downstream-service-node') ?? '')) return false;
  return headers.every((matches) => matches(head));
}

function statusFromHeaders(head: RequestHead): { status?: number; grpcStatus?: number } | undefined {
  const status = wholeNumber(head, 'x-envoy-fault-abort-request');
  if (status !== undefined && status >= 200 && status <= 599) return { status };
  const grpcStatus = wholeNumber(head, 'x-envoy-fault-abort-grpc-request');
  return grpcStatus === undefined ? undefined : { grpcStatus };
}

function wholeNumber(head: RequestHead, name: string): number | undefined {
  const value = head.headers.get(name);
  return value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : undefined;
}
