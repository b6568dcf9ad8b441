// Refusals and what conformance cases do not reach; the rest stands in test/conformance/rate-limit.test.ts.
import { create, fromBinary, toBinary, type MessageInitShape } from '@weft/xds-api/protobuf';
import { RateLimitFilterSchema, RateLimitPerRouteSchema, RateLimitRequestSchema, RateLimitResponse_Code as Code, RateLimitResponseSchema, RateLimitUnit, type RateLimitFilter } from '@weft/xds-api/filter-rate-limit';
import { describe, expect, it, vi } from 'vitest';
import type { RateLimitConfig } from '../../resource/rate-limit-config.js';
import { filterRoute, requestHead, streamInfo } from '../../route/test-support.js';
import type { ClusterCalls } from '../cluster-calls.js';
import { rateLimit } from './rate-limit.js';

type Init = Exclude<MessageInitShape<typeof RateLimitFilterSchema>, RateLimitFilter>;

const service = (clusterName = 'limits') => ({ grpcService: { targetSpecifier: { case: 'envoyGrpc' as const, value: { clusterName } }, initialMetadata: [{ key: 'X-Key', value: 'k' }] } });
const parse = (init: Init = {}) => rateLimit.parse('', toBinary(RateLimitFilterSchema, create(RateLimitFilterSchema, { domain: 'd', rateLimitService: service(), ...init })));
const generic: RateLimitConfig = { stage: 0, disableKey: '', actions: [{ kind: 'generic-key', key: 'k', value: 'v' }] };

function run(config: ReturnType<typeof parse>, unary: ClusterCalls['unary'], limit: RateLimitConfig = generic, info = streamInfo()) {
  const clusters: ClusterCalls = { unary, fetch: () => Promise.reject(new Error('not used')), membership: () => undefined, hold: () => () => undefined };
  const context = { random: () => 0, now: () => 0, setTimeout: () => ({ cancel: () => undefined }), clusters };
  const make = rateLimit.create(context).forRoute(config, undefined, filterRoute({ rateLimits: { route: [limit], virtualHost: [], includeVirtualHost: false } }))!;
  const filter = make();
  const head = requestHead();
  return { filter, head, info, result: filter.decodeHeaders?.(head, info, undefined as never) };
}
const answer = (init: MessageInitShape<typeof RateLimitResponseSchema>) => () => Promise.resolve(toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, init)));

describe('the rate limit filter', () => {
  it('follows the cluster of its service, and asks it with Envoy\'s default timeout', async () => {
    const config = parse();
    expect(rateLimit.clusters?.(config)).toEqual(['limits']);
    const unary = vi.fn<ClusterCalls['unary']>(answer({ overallCode: Code.OK, dynamicMetadata: { a: 'b' } }));
    const { result, info } = run(config, unary, { ...generic, limit: { key: 'n', path: ['l'] } }, streamInfo({ metadata: new Map([['n', { l: { requests_per_unit: 5, unit: 'MINUTE' } }]]) }));
    expect(await result).toBeUndefined();
    const [cluster, path, message, options] = unary.mock.calls[0]!;
    expect([cluster, path, options.timeoutMs, options.headers?.get('x-key')]).toEqual(['limits', '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit', 20, 'k']);
    expect(fromBinary(RateLimitRequestSchema, message)).toMatchObject({ domain: 'd', descriptors: [{ entries: [{ key: 'k', value: 'v' }], limit: { requestsPerUnit: 5, unit: RateLimitUnit.MINUTE } }] });
    expect(info.metadata?.get('envoy.filters.http.ratelimit')).toEqual({ a: 'b' });
  });

  it('gives the call up with the request', () => {
    let signal: AbortSignal | undefined;
    const { filter, info } = run(parse(), (_cluster, _path, _message, options) => ((signal = options.signal), new Promise(() => undefined)));
    expect(signal?.aborted).toBe(false);
    filter.onComplete?.(info);
    expect(signal?.aborted).toBe(true);
  });

  it('an answer that decides nothing, or is none, is a failure', async () => {
    for (const unary of [answer({}), () => Promise.resolve(new Uint8Array([255])), () => Promise.reject(new Error('away'))]) {
      expect(await run(parse({ failureModeDeny: true }), unary).result).toMatchObject({ status: 500, flag: 'RLSE', details: 'rate_limiter_error' });
      expect(await run(parse(), unary).result).toBeUndefined();
    }
  });

  it('costs a route that describes nothing nothing', () => {
    const context = { random: () => 0, now: () => 0, setTimeout: () => ({ cancel: () => undefined }) };
    expect(rateLimit.create(context).forRoute(parse(), undefined, filterRoute())).toBeUndefined();
  });

  it.each<[Init, RegExp]>([
    [{ domain: '' }, /domain: must not be empty/],
    [{ stage: 11 }, /stage: must be 0 to 10/],
    [{ requestType: 'all' }, /request_type: must be internal, external or both/],
    [{ rateLimitService: {} }, /rate_limit_service\.grpc_service: is required/],
    [{ rateLimitService: service('') }, /envoy_grpc\.cluster_name: must not be empty/],
    [{ rateLimitService: { grpcService: { targetSpecifier: { case: 'googleGrpc', value: {} } } } }, /google_grpc: not supported/],
    [{ rateLimitService: { grpcService: { ...service().grpcService, retryPolicy: {} } } }, /grpc_service\.retry_policy: not supported/],
    [{ responseHeadersToAdd: [{ header: { key: 'content-length', value: '1' } }] }, /response_headers_to_add\[0\]\.header\.key/],
  ])('refuses what it would not do (%#)', (init, problem) => {
    expect(() => parse(init)).toThrow(problem);
  });

  it('of a route, refuses limits with what only routes know', () => {
    const bytes = toBinary(RateLimitPerRouteSchema, create(RateLimitPerRouteSchema, { rateLimits: [{ stage: 1, actions: [{ actionSpecifier: { case: 'genericKey', value: { descriptorValue: 'v' } } }] }] }));
    expect(() => rateLimit.parseOverride?.('', bytes)).toThrow(/rate_limits\[0\]: stage and disable_key have no place in the limits of a filter/);
  });

  it('counts what is to count when the request is over, and only then', () => {
    const unary = vi.fn<ClusterCalls['unary']>(answer({ overallCode: Code.OK }));
    const { filter, result, info } = run(parse(), unary, { ...generic, onStreamDone: true, hits: { value: '%RESPONSE_CODE%', negative: false } });
    expect([result, unary.mock.calls.length]).toEqual([undefined, 0]);
    info.status = 204;
    filter.onComplete?.(info);
    expect(fromBinary(RateLimitRequestSchema, unary.mock.calls[0]![2]).descriptors).toMatchObject([{ entries: [{ key: 'k', value: 'v' }], hitsAddend: 204n }]);
  });
});
