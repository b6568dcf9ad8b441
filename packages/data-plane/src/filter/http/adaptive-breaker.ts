// weft.filters.http.adaptive_breaker: keeps the tail of latency under a threshold by letting fewer requests through.
import { fromBinary } from '@weft/xds-api/protobuf';
import { AdaptiveBreakerSchema } from '@weft/xds-api/filter-overload';
import { knownFields, Report } from '../../resource/report.js';
import { durationMs } from '../../resource/value.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { AdaptiveLimit } from '../concurrency/adaptive-limit.js';
import type { AdaptiveBreakerOptions } from '../concurrency/breaker-options.js';
import { BreakersByKey } from '../concurrency/breakers-by-key.js';
import { LimitedRequest } from '../concurrency/limited-request.js';
import type { HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';

const fields = knownFields(AdaptiveBreakerSchema, ['latency_threshold', 'min_concurrency', 'max_concurrency']);

export const adaptiveBreaker: HttpFilterFactory<AdaptiveBreakerOptions> = {
  name: 'weft.filters.http.adaptive_breaker',
  typeUrls: ['type.googleapis.com/weft.filters.http.v1.AdaptiveBreaker'],
  messages: [AdaptiveBreakerSchema],
  sides: ['client', 'server'],
  parse(_typeUrl, value) {
    const message = fromBinary(AdaptiveBreakerSchema, value);
    const report = new Report();
    report.check(fields, message, '');
    if (!message.latencyThreshold) report.add('latency_threshold', 'is required');
    const thresholdMs = durationMs(message.latencyThreshold, 'latency_threshold', report, { positive: true }) ?? 1;
    const { minConcurrency = 1, maxConcurrency = 10_000 } = message;
    if (minConcurrency < 1) report.add('min_concurrency', 'must be 1 or more');
    if (maxConcurrency < minConcurrency) report.add('max_concurrency', `must not be below min_concurrency (${minConcurrency})`);
    report.finish('AdaptiveBreaker');
    return { thresholdMs, minConcurrency, maxConcurrency };
  },
  create: () => new AdaptiveBreakerFilter(),
};

/** For the caller as for Envoy's overflow: not to be retried (`x-envoy-overloaded`). */
const refusal: LocalReply = { status: 503, body: 'adaptive breaker: the service takes no more requests in time', headers: [['x-envoy-overloaded', 'true']], flag: 'UO', details: 'adaptive_breaker' };

class AdaptiveBreakerFilter implements HttpFilter<AdaptiveBreakerOptions> {
  readonly #limits = new BreakersByKey((key) => {
    const { thresholdMs, minConcurrency, maxConcurrency } = JSON.parse(key.slice(key.indexOf('{'))) as AdaptiveBreakerOptions;
    return new AdaptiveLimit({ thresholdMs, now: () => performance.now(), ...(minConcurrency !== undefined && { minLimit: minConcurrency }), ...(maxConcurrency !== undefined && { maxLimit: maxConcurrency }) });
  });

  forRoute(config: AdaptiveBreakerOptions, override: AdaptiveBreakerOptions | undefined): () => StreamFilter {
    // By cluster and configuration: a route with a threshold of its own has a breaker of its own.
    const suffix = ` ${JSON.stringify(override ?? config)}`;
    let last: { cluster: string; limit: AdaptiveLimit } | undefined;
    return () => new LimitedRequest(refusal, (_head: RequestHead, { clusterName }: StreamInfo) => {
      if (last?.cluster !== clusterName) last = { cluster: clusterName, limit: this.#limits.get(clusterName + suffix) };
      return last.limit;
    });
  }
}
