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
  const limits = applicableLimits(rateLimits, override?.virtualHost ?? 'override');
  const describe = forwards ? compileDescriptors(limits, { stage: config.stage, localCluster: context.localCluster ?? '', routeMetadata: metadata }) : undefined;
  if (!describe) return undefined;
  const domain = override?.domain ?? config.domain;
  const count = filterCounters(context, `ratelimit_${config.statPrefix}`, { ok: 'Requests under the limit', over_limit: 'Requests over the limit', error: 'Failed calls of the rate limit service', failure_mode_allowed: 'Requests that went on without an answer' });
  return () => {
    const calling = new AbortController();
    let responseHeaders: Headers = [];
    return {
      decodeHeaders(head, info) {
        if (!concerns(config, head)) return undefined;
        const descriptors = describe(head, info);
        if (descriptors.length === 0) return undefined;
        return ask(config, domain, descriptors, context, calling.signal).then((response) => {
          if (!response) {
            count('error');
            if (config.failureModeDeny) return { status: config.statusOnError, body: '', flag: 'RLSE', details: 'rate_limiter_error' };
            count('failure_mode_allowed');
            return undefined;
          }
          if (response.dynamicMetadata) addMetadata(info, filterName, deepFreeze({ ...response.dynamicMetadata }));
          const headers = [...toAdd(response.responseHeadersToAdd), ...(config.rateLimitHeaders ? rateLimitHeaders(response.statuses) : [])];
          if (response.overallCode === Code.OVER_LIMIT) {
            count('over_limit');
            return refusal(config, response, headers, head, info);
          }
          count('ok');
          responseHeaders = headers;
          for (const [name, value] of toAdd(response.requestHeadersToAdd)) head.headers.add(name, value);
          return undefined;
        });
      },
      encodeHeaders({ headers }) {
        for (const [name, value] of responseHeaders) headers.add(name, value);
      },
      onComplete: () => calling.abort(),
    };
  };
}

/** `x-envoy-internal` is the mesh's word: a server strips it from what comes from outside. */
function concerns({ requestType }: RateLimitFilterConfig, { headers }: RequestHead): boolean {
  return requestType === 'both' || (headers.get('x-envoy-internal') === 'true') === (requestType === 'internal');
}

/** Undefined: it could not be asked, or did not answer. */
async function ask({ service, timeoutMs }: RateLimitFilterConfig, domain: string, descriptors: readonly Descriptor[], { clusters }: FilterContext, signal: AbortSignal): Promise<RateLimitResponse | undefined> {
  const request = create(RateLimitRequestSchema, { domain, descriptors: descriptors.map(({ entries, limit }) => ({ entries: [...entries], ...overridden(limit) })) });
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

function refusal({ status, resourceExhausted, ratelimitedHeader, responseHeaders }: RateLimitFilterConfig, { rawBody }: RateLimitResponse, headers: Headers, head: RequestHead, info: StreamInfo): LocalReply {
  const response = { status, headers: new HeaderMap(headers.flatMap(([name, value]) => [name, value])) };
  if (ratelimitedHeader) response.headers.set('x-envoy-ratelimited', 'true');
  responseHeaders?.applyToResponse(response, info, head);
  return { status, body: Buffer.from(rawBody), headers: [...response.headers], flag: 'RL', details: 'request_rate_limited', ...(resourceExhausted && { grpcStatus: 8 }) };
}

function toAdd(headers: readonly { readonly key: string; readonly value: string; readonly rawValue: Uint8Array }[]): Headers {
  return headers.map(({ key, value, rawValue }) => [key.toLowerCase(), value || Buffer.from(rawValue).toString('latin1')] as const);
}
