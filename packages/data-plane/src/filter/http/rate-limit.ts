// envoy.filters.http.ratelimit: asks a rate limit service (envoy.service.ratelimit.v3) about requests that routes describe.
import { create, fromBinary, toBinary } from '@weft/xds-api/protobuf';
import { typeUrl } from '@weft/xds-api';
import {
  RateLimitFilterSchema, RateLimitPerRouteSchema, RateLimitRequestSchema, RateLimitResponse_Code as Code, RateLimitResponseSchema, RateLimitUnit, type RateLimitResponse,
} from '@weft/xds-api/filter-rate-limit';
import { deepFreeze } from '../../resource/freeze.js';
import { HeaderMap } from '../../stream/header-map.js';
import type { LocalReply } from '../../stream/local-reply.js';
import type { RequestHead } from '../../stream/request-head.js';
import type { StreamInfo } from '../../stream/stream-info.js';
import { addMetadata } from '../dynamic-metadata.js';
import { compileFraction } from '../fraction.js';
import { filterCounters } from '../filter-counters.js';
import type { FilterContext, FilterRouteInfo, HttpFilterFactory, StreamFilter } from '../http-filter.js';
import { applicableLimits, compileDescriptors, type Descriptor } from '../rate-limit/descriptors.js';
import { rateLimitHeaders } from '../rate-limit/x-ratelimit.js';
import { parseRateLimit, parseRateLimitRoute, type RateLimitFilterConfig, type RateLimitRouteConfig } from './rate-limit-config.js';

const filterName = 'envoy.filters.http.ratelimit';
const method = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';

export const rateLimit: HttpFilterFactory<RateLimitFilterConfig, RateLimitRouteConfig> = {
  name: filterName,
  typeUrls: [typeUrl(RateLimitFilterSchema), typeUrl(RateLimitPerRouteSchema)],
  messages: [RateLimitFilterSchema, RateLimitPerRouteSchema],
  sides: ['client', 'server'],
  parse: (_typeUrl, value) => parseRateLimit(value),
  parseOverride: (_typeUrl, value) => parseRateLimitRoute(value),
  clusters: ({ service }) => [service.cluster],
  create: (context) => ({ forRoute: (config, override, route) => forRoute(config, override, route, context) }),
};

type Headers = readonly (readonly [string, string])[];

function forRoute(config: RateLimitFilterConfig, override: RateLimitRouteConfig | undefined, { forwards, rateLimits, metadata }: FilterRouteInfo, context: FilterContext): (() => StreamFilter) | undefined {
  // A filter's own limits are asked about whatever the route does.
  const own = override && override.rateLimits.length > 0 ? override.rateLimits : config.rateLimits;
  const limits = own.length > 0 ? own : forwards ? applicableLimits(rateLimits, override?.virtualHost ?? 'override') : [];
  const descriptors = { stage: own.length > 0 ? 'any' : config.stage, localCluster: context.localCluster ?? '', routeMetadata: metadata } as const;
  const describe = compileDescriptors(limits, descriptors);
  const describeDone = compileDescriptors(limits, descriptors, 'done');
  if (!describe && !describeDone) return undefined;
  const always = () => true;
  const enabled = config.enabled ? compileFraction(config.enabled, context) : always;
  const enforced = config.enforced ? compileFraction(config.enforced, context) : always;
  const deny = config.denyFraction ? compileFraction(config.denyFraction, context) : () => config.failureModeDeny;
  const domain = override?.domain ?? config.domain;
  const count = filterCounters(context, `ratelimit_${config.statPrefix}`, { ok: 'Requests under the limit', over_limit: 'Requests over the limit', error: 'Failed calls of the rate limit service', failure_mode_allowed: 'Requests that went on without an answer' });
  return () => {
    const calling = new AbortController();
    let responseHeaders: Headers = [];
    let asked: RequestHead | undefined;
    return {
      decodeHeaders(head, info) {
        if (!concerns(config, head) || !enabled()) return undefined;
        asked = head;
        const descriptors = describe?.(head, info) ?? [];
        if (descriptors.length === 0) return undefined;
        return ask(config, domain, descriptors, context, calling.signal).then((response) => {
          if (!response) {
            count('error');
            if (deny()) return { status: config.statusOnError, body: '', flag: 'RLSE', details: 'rate_limiter_error' };
            count('failure_mode_allowed');
            return undefined;
          }
          if (response.dynamicMetadata) addMetadata(info, config.metadataNamespace, deepFreeze({ ...response.dynamicMetadata }));
          const headers = [...toAdd(response.responseHeadersToAdd), ...(config.rateLimitHeaders ? rateLimitHeaders(response.statuses) : [])];
          if (response.overallCode === Code.OVER_LIMIT) {
            count('over_limit');
            if (enforced()) return refusal(config, response, headers, head, info);
          } else count('ok');
          responseHeaders = headers;
          for (const [name, value] of toAdd(response.requestHeadersToAdd)) head.headers.add(name, value);
          return undefined;
        });
      },
      encodeHeaders({ headers }) {
        for (const [name, value] of responseHeaders) headers.add(name, value);
      },
      onComplete(info) {
        calling.abort();
        const done = asked && describeDone?.(asked, info);
        // Only counted: whatever the service says comes too late.
        if (done && done.length > 0) void ask(config, domain, done, context, new AbortController().signal);
      },
    };
  };
}

/** `x-envoy-internal` is the mesh's word: a server strips it from what comes from outside. */
function concerns({ requestType }: RateLimitFilterConfig, { headers }: RequestHead): boolean {
  return requestType === 'both' || (headers.get('x-envoy-internal') === 'true') === (requestType === 'internal');
}

/** Undefined: it could not be asked, or did not answer. */
async function ask({ service, timeoutMs }: RateLimitFilterConfig, domain: string, descriptors: readonly Descriptor[], { clusters }: FilterContext, signal: AbortSignal): Promise<RateLimitResponse | undefined> {
  const request = create(RateLimitRequestSchema, { domain, descriptors: descriptors.map(({ entries, limit, hits, negative = false }) => ({ entries: [...entries], ...overridden(limit), ...(hits !== undefined && { hitsAddend: BigInt(hits) }), isNegativeHits: negative })) });
  try {
    const headers = new HeaderMap(service.metadata.flatMap(([name, value]) => [name, value]));
    const answer = await clusters?.unary(service.cluster, method, toBinary(RateLimitRequestSchema, request), { timeoutMs, signal, headers });
    const response = answer && fromBinary(RateLimitResponseSchema, answer);
    return response && response.overallCode !== Code.UNKNOWN ? response : undefined;
  } catch {
    return undefined;
  }
}

function overridden(limit: Descriptor['limit']): { limit?: { requestsPerUnit: number; unit: RateLimitUnit } } {
  const unit = limit && RateLimitUnit[limit.unit as keyof typeof RateLimitUnit];
  return unit === undefined ? {} : { limit: { requestsPerUnit: limit!.requestsPerUnit, unit } };
}

function refusal({ status, resourceExhausted, ratelimitedHeader, responseHeaders, retryAfter }: RateLimitFilterConfig, { rawBody, statuses }: RateLimitResponse, headers: Headers, head: RequestHead, info: StreamInfo): LocalReply {
  const response = { status, headers: new HeaderMap(headers.flatMap(([name, value]) => [name, value])) };
  if (ratelimitedHeader) response.headers.set('x-envoy-ratelimited', 'true');
  const wait = statuses.filter(({ code }) => code === Code.OVER_LIMIT).reduce((most, { durationUntilReset }) => Math.max(most, Number(durationUntilReset?.seconds ?? 0n)), 0);
  if (retryAfter && wait > 0) response.headers.set('retry-after', String(wait));
  responseHeaders?.applyToResponse(response, info, head);
  return { status, body: Buffer.from(rawBody), headers: [...response.headers], flag: 'RL', details: 'request_rate_limited', ...(resourceExhausted && { grpcStatus: 8 }) };
}

function toAdd(headers: readonly { readonly key: string; readonly value: string; readonly rawValue: Uint8Array }[]): Headers {
  return headers.map(({ key, value, rawValue }) => [key.toLowerCase(), value || Buffer.from(rawValue).toString('latin1')] as const);
}
