// envoy.filters.http.local_ratelimit: token buckets of this process, for everything and for descriptors of requests.
import { typeUrl } from '@weft/xds-api';
import { LocalRateLimitSchema } from '@weft/xds-api/filter-rate-limit';
import { compileFraction } from '../fraction.js';
import { HeaderMap } from '../../stream/header-map.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { filterCounters } from '../filter-counters.js';
import type { FilterContext, FilterRouteInfo, HttpFilter, HttpFilterFactory, StreamFilter } from '../http-filter.js';
import { applicableLimits, compileDescriptors, type DescribeRequest } from '../rate-limit/descriptors.js';
import { LocalLimiter } from '../rate-limit/local-limiter.js';
import type { TokenBucket } from '../token-bucket.js';
import { parseLocalRateLimit, type LocalRateLimitConfig } from './local-rate-limit-config.js';

export const localRateLimit: HttpFilterFactory<LocalRateLimitConfig> = {
  name: 'envoy.filters.http.local_ratelimit',
  typeUrls: [typeUrl(LocalRateLimitSchema)],
  messages: [LocalRateLimitSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parseLocalRateLimit(value, { perRoute: false }),
  parseOverride: (_typeUrl, value) => parseLocalRateLimit(value, { perRoute: true }),
  create: (context) => new LocalRateLimitFilter(context),
};

class LocalRateLimitFilter implements HttpFilter<LocalRateLimitConfig> {
  readonly #context: FilterContext;
  /** One for each configuration: that of the filter is shared by all routes, a route's own is its own. They go with it. */
  readonly #limiters = new WeakMap<LocalRateLimitConfig, LocalLimiter>();
  readonly #byConnection = new WeakMap<LocalRateLimitConfig, WeakMap<object, LocalLimiter>>();

  constructor(context: FilterContext) {
    this.#context = context;
  }

  forRoute(filterConfig: LocalRateLimitConfig, override: LocalRateLimitConfig | undefined, route: FilterRouteInfo<LocalRateLimitConfig>): (() => StreamFilter) | undefined {
    const config = override ?? filterConfig;
    // Unset means 0 %: the filter is there, and does nothing.
    if (!config.enabled?.numerator) return undefined;
    const enabled = compileFraction(config.enabled, this.#context);
    const enforced = config.enforced ? compileFraction(config.enforced, this.#context) : () => false;
    const describe = config.descriptors.length > 0 ? this.#describe(config, route) : undefined;
    const count = filterCounters(this.#context, `local_rate_limit_${config.statPrefix}`, { enabled: 'Requests that the limit looked at', ok: 'Requests under the limit', rate_limited: 'Requests over the limit', enforced: 'Requests refused' });
    const limiterFor = this.#limiterFor(config);
    return () => {
      let bucket: TokenBucket | undefined;
      return {
        decodeHeaders: (head, info) => {
          if (!enabled()) return undefined;
          count('enabled');
          const verdict = limiterFor(info).take(describe?.(head, info) ?? []);
          if (config.rateLimitHeaders) ({ bucket } = verdict);
          if (verdict.allowed) {
            count('ok');
            return undefined;
          }
          count('rate_limited');
          if (enforced()) {
            count('enforced');
            return refusal(config, verdict.bucket, head, info);
          }
          config.requestHeaders?.applyToRequest(head, info);
          return undefined;
        },
        encodeHeaders({ headers }) {
          if (!bucket) return;
          headers.add('x-ratelimit-limit', String(bucket.maxTokens));
          headers.add('x-ratelimit-remaining', String(bucket.remaining));
          headers.add('x-ratelimit-reset', String(Math.ceil(bucket.nextTokenMs / 1000)));
        },
      };
    };
  }

  /** Routes say how requests are described, unless the filter does so itself. */
  #describe({ rateLimits, stage, virtualHostRateLimits }: LocalRateLimitConfig, route: FilterRouteInfo): DescribeRequest | undefined {
    const limits = rateLimits.length > 0 ? rateLimits : route.forwards ? applicableLimits(route.rateLimits, virtualHostRateLimits) : [];
    return compileDescriptors(limits, { stage: rateLimits.length > 0 ? 'any' : stage, localCluster: this.#context.localCluster ?? '', routeMetadata: route.metadata });
  }

  #limiterFor(config: LocalRateLimitConfig): (info: StreamInfo) => LocalLimiter {
    const make = () => new LocalLimiter(config, () => this.#context.now());
    if (config.perConnection) {
      const byConnection = this.#byConnection.get(config) ?? new WeakMap<object, LocalLimiter>();
      this.#byConnection.set(config, byConnection);
      return ({ connection = noConnection }) => {
        let limiter = byConnection.get(connection);
        if (!limiter) byConnection.set(connection, (limiter = make()));
        return limiter;
      };
    }
    let limiter = this.#limiters.get(config);
    if (!limiter) this.#limiters.set(config, (limiter = make()));
    const shared = limiter;
    return () => shared;
  }
}

/** The application in this process has no connection to its own client: all its requests are on one. */
const noConnection = {};

function refusal({ status, resourceExhausted, responseHeaders, retryAfter }: LocalRateLimitConfig, bucket: TokenBucket | undefined, head: RequestHead, info: StreamInfo): LocalReply {
  const response = { status, headers: new HeaderMap() };
  if (retryAfter && bucket) response.headers.add('retry-after', String(Math.max(1, Math.ceil(bucket.nextTokenMs / 1000))));
  responseHeaders?.applyToResponse(response, info, head);
  return { status, body: 'local_rate_limited', headers: [...response.headers], flag: 'RL', details: 'local_rate_limited', ...(resourceExhausted && { grpcStatus: 8 }) };
}
