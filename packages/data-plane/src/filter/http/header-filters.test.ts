// Refusals and corner cases of the small filters; what they do to requests stands in test/conformance.
import { create, toBinary, type DescMessage, type MessageInitShape } from '@weft/xds-api/protobuf';
import { CorsPolicySchema } from '@weft/xds-api/filter-cors';
import { CsrfPolicySchema, HeaderMutationFilterSchema, HeaderToMetadataSchema, HealthCheckSchema, SetMetadataSchema } from '@weft/xds-api/filter-headers';
import { LocalRateLimitSchema } from '@weft/xds-api/filter-rate-limit';
import { describe, expect, it } from 'vitest';
import { filterRoute, requestHead, streamInfo } from '../../route/test-support.js';
import { HeaderMap } from '../../stream/header-map.js';
import type { HttpFilterFactory } from '../http-filter.js';
import { cors } from './cors.js';
import { csrf } from './csrf.js';
import { headerMutation } from './header-mutation.js';
import { headerToMetadata } from './header-to-metadata.js';
import { healthCheck } from './health-check.js';
import { localRateLimit } from './local-rate-limit.js';
import { setMetadata } from './set-metadata.js';

const on = { defaultValue: { numerator: 100 } };
const bytes = <T extends DescMessage>(schema: T, init: MessageInitShape<T>) => toBinary(schema, create(schema, init) as never);
const bucket = { maxTokens: 1, fillInterval: { seconds: 1n } };

function refused<T extends DescMessage>(factory: HttpFilterFactory<never, never>, schema: T, init: MessageInitShape<T>, problem: RegExp, override = false) {
  const parse = override ? factory.parseOverride! : factory.parse;
  expect(() => parse.call(factory, factory.typeUrls.at(-1)!, bytes(schema, init))).toThrow(problem);
}

describe('refused', () => {
  it('CORS: matchers that are none', () => refused(cors as never, CorsPolicySchema, { allowOriginStringMatch: [{}] }, /allow_origin_string_match\[0\]: one of/, true));
  it('CSRF: without filter_enabled', () => refused(csrf as never, CsrfPolicySchema, {}, /filter_enabled: is required/));
  it('header mutation: an empty one, framing, unknown formatters', () => {
    const mutations = (requestMutations: NonNullable<MessageInitShape<typeof HeaderMutationFilterSchema>['mutations']>['requestMutations']) => ({ mutations: { requestMutations: requestMutations ?? [] } });
    refused(headerMutation as never, HeaderMutationFilterSchema, mutations([{}]), /request_mutations\[0\]: one of remove, append/);
    refused(headerMutation as never, HeaderMutationFilterSchema, mutations([{ action: { case: 'remove', value: 'content-length' } }]), /request_mutations\[0\]\.remove: content-length/);
    refused(headerMutation as never, HeaderMutationFilterSchema, mutations([{ action: { case: 'append', value: { header: { key: 'a', value: '%NO%' } } } }]), /unknown substitution %NO%/);
  });
  it('health check: a cache without passing through, health of clusters, a route of its own', () => {
    refused(healthCheck as never, HealthCheckSchema, {}, /pass_through_mode: is required/);
    refused(healthCheck as never, HealthCheckSchema, { passThroughMode: false, cacheTime: { seconds: 1n } }, /cache_time: needs pass_through_mode/);
    refused(healthCheck as never, HealthCheckSchema, { passThroughMode: true, clusterMinHealthyPercentages: { a: { value: 50 } } }, /cluster_min_healthy_percentages: does not go with pass_through_mode/);
    refused(healthCheck as never, HealthCheckSchema, { passThroughMode: false, clusterMinHealthyPercentages: { a: { value: 101 } } }, /cluster_min_healthy_percentages\["a"\]: must be 0 to 100/);
    refused(healthCheck as never, HealthCheckSchema, { passThroughMode: false }, /takes no configuration in a route/, true);
  });
  it('set metadata: no namespace, typed values', () => {
    refused(setMetadata as never, SetMetadataSchema, { metadata: [{}] }, /metadata\[0\]\.metadata_namespace: must not be empty/);
    refused(setMetadata as never, SetMetadataSchema, { metadata: [{ metadataNamespace: 'a', typedValue: {} }] }, /metadata\[0\]\.typed_value: not supported/);
  });
  it.each<[MessageInitShape<typeof HeaderToMetadataSchema>['requestRules'], RegExp]>([
    [[{}], /exactly one of header, cookie/],
    [[{ header: 'a', cookie: 'b', onHeaderPresent: { key: 'k' } }], /exactly one of header, cookie/],
    [[{ header: 'a' }], /one of on_header_present, on_header_missing/],
    [[{ cookie: 'a', remove: true, onHeaderPresent: { key: 'k' } }], /remove: does not go with a cookie/],
    [[{ header: 'a', onHeaderMissing: { key: 'k' } }], /on_header_missing\.value: must not be empty/],
    [[{ header: 'a', onHeaderPresent: {} }], /on_header_present\.key: must not be empty/],
    [[{ header: 'a', onHeaderPresent: { key: 'k', value: 'v', regexValueRewrite: { pattern: { regex: 'a' } } } }], /cannot stand beside value/],
  ])('header to metadata (%#)', (requestRules, problem) => refused(headerToMetadata as never, HeaderToMetadataSchema, { requestRules: requestRules ?? [] }, problem));
  it('header to metadata: nothing in a route', () => refused(headerToMetadata as never, HeaderToMetadataSchema, {}, /request_rules or response_rules/, true));
  it.each<[MessageInitShape<typeof LocalRateLimitSchema>, RegExp]>([
    [{ statPrefix: '' }, /stat_prefix: must not be empty/],
    [{ statPrefix: 'a', stage: 11 }, /stage: must be 0 to 10/],
    [{ statPrefix: 'a', localClusterRateLimit: {} }, /local_cluster_rate_limit: not supported/],
    [{ statPrefix: 'a', tokenBucket: { maxTokens: 1 } }, /token_bucket\.fill_interval: is required/],
    [{ statPrefix: 'a', tokenBucket: { maxTokens: 1, fillInterval: { nanos: 49_000_000 } } }, /fill_interval: must be at least 50 ms/],
    [{ statPrefix: 'a', tokenBucket: { maxTokens: 0, fillInterval: { seconds: 1n } } }, /max_tokens: must be greater than 0/],
    [{ statPrefix: 'a', descriptors: [{}] }, /descriptors\[0\]\.entries: must not be empty/],
    [{ statPrefix: 'a', descriptors: [{ entries: [{ key: 'k' }] }] }, /descriptors\[0\]\.token_bucket: is required/],
    [{ statPrefix: 'a', descriptors: [{ entries: [{ key: 'k' }], tokenBucket: bucket }, { entries: [{ key: 'k' }], tokenBucket: bucket }] }, /descriptors\[1\]: is there twice/],
  ])('local rate limit (%#)', (init, problem) => refused(localRateLimit as never, LocalRateLimitSchema, init, problem));
  it('local rate limit: no bucket in a route', () => refused(localRateLimit as never, LocalRateLimitSchema, { statPrefix: 'a' }, /token_bucket: is required in a route/, true));
});

it('a service is well while enough of its clusters is', () => {
  const members: Record<string, { total: number; healthy: number }> = { half: { total: 4, healthy: 2 }, empty: { total: 0, healthy: 0 } };
  const clusters = { membership: (name: string) => members[name], hold: () => () => undefined, unary: () => Promise.reject(new Error()), fetch: () => Promise.reject(new Error()) };
  const context = { random: () => 0, now: () => 0, setTimeout: () => ({ cancel: () => undefined }), clusters };
  const check = (percentages: Record<string, number>) => {
    const config = healthCheck.parse('', bytes(HealthCheckSchema, { passThroughMode: false, clusterMinHealthyPercentages: Object.fromEntries(Object.entries(percentages).map(([name, value]) => [name, { value }])) }));
    expect(healthCheck.clusters?.(config)).toEqual(Object.keys(percentages));
    const reply = healthCheck.create(context).forRoute(config, undefined, filterRoute())!().decodeHeaders?.(requestHead(), streamInfo(), undefined as never);
    return reply && 'details' in reply ? reply.details : undefined;
  };
  expect([check({ half: 50 }), check({ half: 51 }), check({ empty: 0 }), check({ empty: 1 }), check({ half: 10, none: 0 })]).toEqual(['health_check_ok_cluster_healthy', 'health_check_failed_cluster_unhealthy', 'health_check_ok_cluster_healthy', 'health_check_failed_cluster_empty', 'health_check_failed_cluster_not_found']);
});

it('what a health check answered is forgotten at fixed times', () => {
  let now = 0;
  const context = { random: () => 0, now: () => now, setTimeout: () => ({ cancel: () => undefined }) };
  const config = healthCheck.parse('', bytes(HealthCheckSchema, { passThroughMode: true, cacheTime: { seconds: 10n } }));
  const make = healthCheck.create(context).forRoute(config, undefined, filterRoute())!;
  const check = (status: number) => {
    const filter = make();
    const result = filter.decodeHeaders?.(requestHead(), streamInfo(), undefined as never);
    if (result === undefined) filter.encodeHeaders?.({ status, headers: new HeaderMap() }, streamInfo(), undefined as never);
    return result;
  };
  now = 9000;
  expect(check(503)).toBeUndefined();
  now = 9999;
  expect(check(200)).toMatchObject({ status: 503, details: 'health_check_cached' });
  now = 10_000;
  expect(check(200)).toBeUndefined();
});

it('filters with nothing to do cost a route nothing', () => {
  const context = { random: () => 0, now: () => 0, setTimeout: () => ({ cancel: () => undefined }) };
  const nothing = (factory: HttpFilterFactory<never, never>, schema: DescMessage, init: object = {}) => factory.create(context).forRoute(factory.parse('', bytes(schema, init as never)) as never, undefined, filterRoute() as never);
  expect(nothing(cors as never, CorsPolicySchema)).toBeUndefined();
  expect(nothing(csrf as never, CsrfPolicySchema, { filterEnabled: { defaultValue: {} } })).toBeUndefined();
  expect(nothing(csrf as never, CsrfPolicySchema, { filterEnabled: on })).toBeDefined();
  expect(nothing(headerMutation as never, HeaderMutationFilterSchema)).toBeUndefined();
  expect(nothing(headerToMetadata as never, HeaderToMetadataSchema)).toBeUndefined();
  expect(nothing(setMetadata as never, SetMetadataSchema)).toBeUndefined();
  expect(nothing(localRateLimit as never, LocalRateLimitSchema, { statPrefix: 'a', tokenBucket: bucket })).toBeUndefined();
});
